"""AWS's event stream, `application/vnd.amazon.eventstream`: whole frames out of pieces cut anywhere.

Layout from botocore 1.44 `eventstream.py`: total length, headers' length, their CRC; headers; payload; CRC of all. Its
own decoder is held against this one in a test; it copies all it has for each frame, and breaks on bad headers with
whatever Python raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import unpack_from
from zlib import crc32

from ownkey.domain.errors import ProviderInvalidResponse

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""As of a server-sent event: a frame may carry a whole image, and must not fill the memory."""

_PRELUDE_BYTES = 12
_LEAST_BYTES = _PRELUDE_BYTES + 4
_STRING = 7
_SIZED = (6, _STRING)
_SIZES: Mapping[int, int] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Header type → bytes of its value, where all values of the type have as many."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    headers: Mapping[str, str]
    """Those that are text: `:message-type`, `:event-type`, `:exception-type`, …"""
    payload: bytes


class FrameSplitter:
    """Gives back whole frames only. Holds no more than one frame that is not whole."""

    __slots__ = ("_checked", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._checked = False
        """Whether the prelude of the frame that is not whole was."""

    @property
    def whole(self) -> bool:
        """Whether nothing of a frame is held."""
        return not self._rest

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete by now.

        Raises:
            ProviderInvalidResponse: a checksum that is wrong, a length that cannot be, headers that cannot be read. The
                frames before it were given.
        """
        held = self._rest
        held += data
        at = 0
        try:
            while len(held) - at >= _PRELUDE_BYTES:
                total, headers, crc = unpack_from(">III", held, at)
                if not self._checked:
                    _check_prelude(held[at : at + 8], total, headers, crc)
                    self._checked = True
                if len(held) - at < total:
                    break
                frame = bytes(held[at : at + total])
                at += total
                self._checked = False
                yield _read(frame, headers)
        finally:
            del held[:at]


def _check_prelude(prelude: bytearray, total: int, headers: int, crc: int) -> None:
    if crc32(prelude) != crc:
        raise _broken("its checksum is wrong")
    if headers > total - _LEAST_BYTES:
        raise _broken("its lengths do not agree")
    if total > MAX_FRAME_BYTES:
        raise ProviderInvalidResponse("The provider sent an event larger than this gateway takes.")


def _read(frame: bytes, headers_bytes: int) -> Frame:
    (crc,) = unpack_from(">I", frame, len(frame) - 4)
    if crc32(memoryview(frame)[:-4]) != crc:
        raise _broken("its checksum is wrong")
    end = _PRELUDE_BYTES + headers_bytes
    return Frame(_read_headers(frame[_PRELUDE_BYTES:end]), frame[end:-4])


def _read_headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name, at = _sized(data, at, 1)
        kind = data[at] if at < len(data) else -1
        at += 1
        if kind in _SIZED:
            value, at = _sized(data, at, 2)
            if kind == _STRING:
                found[_text(name)] = _text(value)
        elif kind in _SIZES and at + _SIZES[kind] <= len(data):
            at += _SIZES[kind]
        else:
            raise _broken("its headers cannot be read")
    return found


def _sized(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """A value that has its length before it, and where it ends."""
    start = at + width
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data) or start > len(data):
        raise _broken("its headers cannot be read")
    return data[start:end], end


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _broken("its headers cannot be read") from None


def _broken(why: str) -> ProviderInvalidResponse:
    return ProviderInvalidResponse(f"An event of the provider's stream cannot be read: {why}.")
