"""Forms: read strictly, written on with the files' bytes untouched."""

from __future__ import annotations

import email
import email.policy
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.providers import Form, InvalidDocument
from ownkey.providers.document import REMOVED
from tests.support.media import BOUNDARY, form, form_type

FILE = b"\x00\xff\r\n--\r\n\r\n\x80"


def read(raw: bytes, content_type: str | None = None) -> Form:
    return Form.read(raw, content_type or form_type())


def with_part(head: str, content: bytes = b"x") -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def test_fields_lists_and_files() -> None:
    body = form({"model": "whisper-1", "stream": "True", "include[]": "logprobs"}, FILE)
    assert read(body).values == {
        "model": "whisper-1",
        "stream": True,
        "include[]": ["logprobs"],
        "file": {"bytes": len(FILE), "type": "audio/wav", "sha256": sha256(FILE).hexdigest()},
    }
    assert [part.content for part in read(body).files] == [FILE]


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/form-data; boundary={BOUNDARY}",
        f'Multipart/Form-Data;boundary="{BOUNDARY}"',
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}; x=y",
    ],
)
def test_content_types_as_clients_write_them(content_type: str) -> None:
    assert read(form({"model": "a"}, FILE), content_type).values["model"] == "a"


@pytest.mark.parametrize(
    "head",
    [
        'Content-Disposition: form-data; name="file"; filename="a b.mp3"',
        'content-disposition: form-data;name="file";filename="a.mp3"\r\ncontent-type: audio/mpeg; codecs=mp3',
        'Content-Disposition: form-data; name="file"; filename="a.mp3"; filename*=UTF-8\'\'%C3%A4.mp3',
        'Content-Type: audio/mpeg\r\nContent-Disposition: form-data; name="file"; filename=""',
        "Content-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3",
        'Content-Disposition: form-data; filename="a;b.mp3" ; name="file"',
        'Content-Disposition: form-data; name="file"; filename="C:\\\\a \\"b\\".mp3"',
    ],
)
def test_files_as_clients_name_them_go_on_as_they_came(head: str) -> None:
    again = read(read(with_part(head, FILE)).edited({}))
    assert [part.content for part in again.files] == [FILE]
    assert again.files[0].head == read(with_part(head, FILE)).files[0].head


def test_names_without_quotes_go_on_in_quotes() -> None:
    """.NET writes none, and not every provider's reader takes that."""
    asked = read(with_part("Content-Disposition: form-data; name=model", b"whisper-1"))
    assert asked.values == {"model": "whisper-1"}
    assert b'form-data; name="model"\r\n' in asked.edited({})
    file = with_part("Content-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3")
    assert b'form-data; name="file"; filename="a.mp3"; filename*=utf-8\'\'a.mp3\r\n' in read(file).edited({})


@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(["prompt", "language", "x"]), st.text(max_size=20)))
@settings(max_examples=60)
def test_what_goes_on_is_the_client_s_but_for_what_is_changed(file: bytes, fields: dict[str, str]) -> None:
    asked = read(form({"model": "ours/whisper", "provider": "{}"} | fields, file))
    sent = asked.edited({"model": "whisper-1", "provider": REMOVED})
    message = email.message_from_bytes(
        f"Content-Type: {asked.content_type}\r\n\r\n".encode() + sent, policy=email.policy.HTTP
    )
    seen = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    assert set(seen) == {"model", "file", *fields}
    again = read(sent, asked.content_type)
    assert again.values == {name: value for name, value in asked.values.items() if name != "provider"} | {
        "model": "whisper-1"
    }
    assert again.files[0].content == file
    assert {name: again.values[name] for name in fields} == fields


def test_a_field_that_is_not_there_is_added() -> None:
    assert read(read(form({}, FILE)).edited({"model": "whisper-1"})).values["model"] == "whisper-1"


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (form({"model": "a"})[:-4], None),
        (b"", None),
        (b"preamble\r\n" + form({"model": "a"}), None),
        (form({"model": "a"}).replace(b"\r\n\r\n", b"\r\n"), None),
        (form({"model": "a"}).replace(b"form-data; name", b"form-data; NAME*=x; name"), None),
        (form({"model": "a"}).replace(b"form-data", b"attachment"), None),
        (form({"model": "a"}).replace(b'"model"', b'"mo\\"del"'), None),
        (with_part('Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64'), None),
        (with_part('Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"'), None),
        (with_part('Content-Disposition: form-data; name="model"\r\n continued: x'), None),
        (with_part('Content-Disposition: form-data; name="model"; name=language'), None),
        (with_part('Content-Disposition: form-data; name="model"; Filename=a; filename="b"'), None),
        (with_part("Content-Disposition: form-data; name=model language"), None),
        (with_part("Content-Disposition: form-data; name=timestamp_granularities[]"), None),
        (with_part('Content-Disposition: form-data; name=""'), None),
        (with_part('Content-Disposition: form-data; name="model'), None),
        (with_part("Content-Disposition: form-data; filename=a.mp3"), None),
        (with_part("Content-Disposition: form-data"), None),
        (with_part('Content-Disposition: form-data; name="prompt"', b"\xff"), "prompt"),
        (form({"model": "a"})[: -len(BOUNDARY) - 6] + form({"model": "b"}), "model"),
        (form({"model": "a", "model[]": "b"}), "model"),
        (form({"model[0]": "b"}), "model"),
        (form({f"x{index}": "a" for index in range(129)}), None),
    ],
)
def test_what_two_readers_might_read_differently_is_refused(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(raw)
    assert caught.value.param == param


@given(st.binary(max_size=400), st.integers(0, 400))
@settings(max_examples=100)
def test_whatever_comes_is_a_form_or_is_refused(junk: bytes, at: int) -> None:
    whole = form({"model": "a"}, FILE)
    raw = whole[:at] + junk + whole[at:]
    try:
        again = read(raw).edited({})
    except InvalidDocument:
        return
    assert read(again).values == read(raw).values
