"""A `multipart/form-data` body (RFC 7578) as a `Document`: its fields are `values`, its files stay as they came.

Two readers of one form may not take two models from it. So a form is read strictly (one part a name, nothing encoded
or nested), and what goes on is written anew from what was read: each part's own two headers, names in quotes, its bytes
untouched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ownkey.providers.document import MAX_PARAM_CHARS, REMOVED, Document, InvalidDocument

MAX_PARTS = 128

_TYPE = re.compile(
    r"""multipart/form-data[ \t]*;(?:.*;)?[ \t]*boundary="""
    r"""("?)([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\1[ \t]*(?:;.*)?""",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    rb""";[ \t]*(?:(name|filename)=(?:"((?:[^"\r\n\\]|\\.){0,500})"|([0-9A-Za-z!#$%&'*+.^_`|~-]{1,500}))"""
    rb"""|(filename\*)=([^;\r\n"\\ \t]{1,1500}))[ \t]*""",
    re.IGNORECASE,
)
"""In quotes or, as .NET writes them, without."""
_MAX_NAME_CHARS = 100
_MEDIA_TYPE = re.compile(rb"""[0-9A-Za-z!#$&^_.+-]+/[0-9A-Za-z!#$&^_.+-]+(?:[ \t]*;[ \t]*[\x20-\x7e]{1,200})?""")
_NAME = re.compile(rb"[0-9A-Za-z-]{1,60}")
_FLAGS: Mapping[str, bool] = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form. `head`: what stood above its bytes and goes on."""

    name: str
    head: bytes
    content: bytes
    file_type: str | None
    """The media type of a file; None: a plain field."""


class Form(Document):
    """`values`: a field's text, for a name that ends in `[]` the list of them; `stream` as a boolean; of a file its
    size, type and digest. `raw` is the body as it came.
    """

    __slots__ = ("_boundary", "parts")

    def __init__(self, raw: bytes, values: dict[str, Any], parts: tuple[Part, ...], boundary: bytes) -> None:
        super().__init__(raw, "", values, {})
        self.parts = parts
        self._boundary = boundary

    @property
    def content_type(self) -> str:
        """Of what `edited` gives."""
        return f'multipart/form-data; boundary="{self._boundary.decode()}"'

    @property
    def files(self) -> list[Part]:
        """Those of the parts that are files."""
        return [part for part in self.parts if part.file_type is not None]

    @staticmethod
    def read(raw: bytes, content_type: str) -> Form:
        """Reads a form.

        Raises:
            InvalidDocument: it is none, or not one that every reader reads alike.
        """
        found = _TYPE.fullmatch(content_type.strip())
        if found is None:
            raise InvalidDocument("its content type is not multipart/form-data with a boundary")
        boundary = found[2].encode()
        parts = tuple(_part(each) for each in _split(raw, boundary))
        return Form(raw, _values(parts), parts, boundary)

    def edited(self, changes: Mapping[str, Any]) -> bytes:
        """The form with fields replaced by a text, added or (`REMOVED`) left out; all other parts byte for byte."""
        written = [
            _written(part.head, str(changes[part.name]).encode() if part.name in changes else part.content)
            for part in self.parts
            if changes.get(part.name) is not REMOVED
        ]
        there = {part.name for part in self.parts}
        for name, value in changes.items():
            if name not in there and value is not REMOVED:
                head = f'Content-Disposition: form-data; name="{name}"\r\n'.encode()
                written.append(_written(head, str(value).encode()))
        start = b"--" + self._boundary
        return b"".join(start + b"\r\n" + each for each in written) + start + b"--\r\n"


def _split(raw: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries. What stands before the first and after the last is nobody's."""
    pieces = (b"\r\n" + raw).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise InvalidDocument("it does not end with its boundary")
    if len(pieces) - 2 > MAX_PARTS:
        raise InvalidDocument(f"it has more than {MAX_PARTS} parts")
    if pieces[0] or any(not piece.startswith(b"\r\n") for piece in pieces[1:-1]):
        raise InvalidDocument("a boundary stands where none may")
    return [piece[2:] for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, found, content = piece.partition(b"\r\n\r\n")
    if not found:
        raise InvalidDocument("a part has no end of its headers")
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or name.lower() in headers:
            raise InvalidDocument("a part has a header twice, or one that is none")
        headers[name.lower()] = value.strip(b" \t")
    disposition = headers.pop(b"content-disposition", b"")
    named = _parameters(disposition)
    name = named.get(b"name", b"")
    media_type = headers.pop(b"content-type", None)
    if not 1 <= len(name) <= _MAX_NAME_CHARS or b"\\" in name:
        raise InvalidDocument("a part's name cannot be read")
    if media_type is not None and not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidDocument("a part's headers cannot be read")
    if headers.pop(b"content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
        raise InvalidDocument("a part is encoded")
    kept = b'Content-Disposition: form-data; name="' + name + b'"'
    kept += b'; filename="' + named[b"filename"] + b'"' if b"filename" in named else b""
    kept += b"; filename*=" + named[b"filename*"] if b"filename*" in named else b""
    kept += b"\r\nContent-Type: " + media_type + b"\r\n" if media_type is not None else b"\r\n"
    is_file = len(named) > 1
    file_type = (media_type or b"application/octet-stream").decode() if is_file else None
    return Part(_text(name, "a part's name"), kept, content, file_type)


def _parameters(disposition: bytes) -> dict[bytes, bytes]:
    """What a part's disposition names, by the parameter's name in lower case."""
    kind, rest = disposition[:9], disposition[9:].lstrip(b" \t")
    named: dict[bytes, bytes] = {}
    while kind.lower() == b"form-data" and rest:
        match = _PARAMETER.match(rest)
        parameter = (match[1] or match[4]).lower() if match else b""
        if match is None or parameter in named:
            break
        named[parameter] = next(value for value in (match[2], match[3], match[5]) if value is not None)
        rest = rest[match.end() :]
    if rest or not named:
        raise InvalidDocument("a part's headers cannot be read")
    return named


def _values(parts: tuple[Part, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in parts:
        value: Any = _fact(part) if part.file_type is not None else _text(part.content, part.name)
        if part.name.endswith("[]"):
            values.setdefault(part.name, []).append(value)
            continue
        if part.name in values:
            raise InvalidDocument("the field is given twice", part.name)
        values[part.name] = _FLAGS.get(value.lower(), value) if part.name == "stream" else value
    for name in values:
        plain, bracket, _ = name.partition("[")
        if bracket and (plain in values or plain == "model"):
            raise InvalidDocument("the field is given twice", plain)
    return values


def _fact(part: Part) -> dict[str, Any]:
    """What tells one file from another, without its bytes."""
    return {"bytes": len(part.content), "type": part.file_type, "sha256": sha256(part.content).hexdigest()}


def _text(content: bytes, param: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidDocument("it is not UTF-8", param[:MAX_PARAM_CHARS]) from None


def _written(head: bytes, content: bytes) -> bytes:
    return head + b"\r\n" + content + b"\r\n"
