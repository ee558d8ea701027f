"""What holds between any client's dialect and any provider's API, whatever comes from either side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ownkey.domain.errors import InvalidParameter, OwnkeyError, ProviderFailure, UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Call, Encoded, Translator
from tests.support.crossing import FOLDERS, MODELS, PROVIDERS, broken, crossings, cut, damaged, files, requests
from tests.support.providers import annotate, call, passed

CROSSINGS = list(crossings())
SOME = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
DESIGNED = (InvalidParameter, UnsupportedParameter)

every_crossing = pytest.mark.parametrize(
    ("surface", "wire", "translator"), CROSSINGS, ids=[f"{surface}-{wire}" for surface, wire, _ in CROSSINGS]
)


def asked(surface: Surface, wire: str, body: dict[str, Any]) -> Call:
    """A call of a provider on that wire."""
    provider = PROVIDERS.get(wire, wire)
    return call(body, provider=provider, model=MODELS.get(wire, "some-model"))


def plain(surface: Surface, *, stream: bool) -> dict[str, Any]:
    """A short request."""
    said = {"input": "hello"} if surface is Surface.RESPONSES else {"messages": [{"role": "user", "content": "hello"}]}
    return {"model": "some-model", "max_tokens": 100, "stream": stream, **said}


def encoded(translator: Translator, request: Call) -> Encoded | OwnkeyError:
    """The provider's request, or the designed error that there is none."""
    try:
        return translator.encode_request(request)
    except DESIGNED as error:
        return error


@every_crossing
def test_what_clients_send_is_expressed_or_refused(surface: Surface, wire: str, translator: Translator) -> None:
    for body in requests(surface):
        sent = encoded(translator, asked(surface, wire, body))
        if isinstance(sent, UnsupportedParameter):
            assert sent.param
        else:
            assert isinstance(sent, Encoded), sent
            assert isinstance(json.loads(sent.body), dict)
    assert b"hello" in translator.encode_request(asked(surface, wire, plain(surface, stream=False))).body


@every_crossing
@given(data=st.data())
@SOME
def test_a_broken_request_is_told_what_is_wrong(
    surface: Surface, wire: str, translator: Translator, data: st.DataObject
) -> None:
    body = data.draw(broken(data.draw(st.sampled_from(requests(surface))))) | {"model": "some-model"}
    sent = encoded(translator, asked(surface, wire, body))
    assert isinstance(sent, Encoded) or sent.message


@every_crossing
@given(data=st.data())
@SOME
def test_any_cut_of_the_bytes_says_the_same(
    surface: Surface, wire: str, translator: Translator, data: st.DataObject
) -> None:
    stream = data.draw(st.sampled_from(files(FOLDERS[wire], "stream"))).read_bytes()
    request = plain(surface, stream=True)
    once = passed(translator, asked(surface, wire, request), [stream])
    again = passed(translator, asked(surface, wire, request), data.draw(cut(stream)))
    assert again.output == once.output
    assert again.decoder.reading == once.decoder.reading
    assert again.decoder.finished is once.decoder.finished


@every_crossing
@given(data=st.data())
@SOME
def test_damaged_streams_end_and_never_raise(
    surface: Surface, wire: str, translator: Translator, data: st.DataObject
) -> None:
    stream = data.draw(st.sampled_from(files(FOLDERS[wire], "stream"))).read_bytes()
    hurt = data.draw(damaged(stream))
    decoder = passed(translator, asked(surface, wire, plain(surface, stream=True)), data.draw(cut(hurt))).decoder
    assert decoder.finished or isinstance(decoder.failure, ProviderFailure)
    assert decoder.estimated_output_tokens() >= 0


@every_crossing
@given(data=st.data())
@SOME
def test_a_broken_answer_is_the_providers_failure_or_an_answer(
    surface: Surface, wire: str, translator: Translator, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from([each for each in files(FOLDERS[wire], "response") if each.suffix == ".json"]))
    answer = json.loads(path.read_bytes())
    hurt = data.draw(broken(answer))
    try:
        body = json.dumps(hurt).encode()
        whole = translator.decode_whole(asked(surface, wire, plain(surface, stream=False)), body, annotate)
    except ProviderFailure:
        return
    assert isinstance(json.loads(whole.body), dict)
    assert whole.reading.usage is None or whole.reading.usage.total_tokens >= 0


@every_crossing
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode), status=st.integers(400, 599))
@SOME
def test_any_error_is_one_of_the_tree(
    surface: Surface, wire: str, translator: Translator, body: bytes, status: int
) -> None:
    assert isinstance(translator.decode_failure(status, {}, body), ProviderFailure)
