"""The simulated provider told to fail, in every way a provider fails."""

import gzip
import json
import time
from email.utils import parsedate_to_datetime

import anthropic
import httpx
import openai
import pytest

from local.simulator import start_simulator

KEYS = {"openai": "sk-sim-0123456789abcdef", "anthropic": "sk-ant-sim-0123456789abcdef"}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
PATHS = {"openai": "chat/completions", "anthropic": "messages"}
BOTH = pytest.mark.parametrize("provider", ["openai", "anthropic"])
STATUSES = [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def http():
    async with httpx.AsyncClient(verify=False, timeout=5) as raw:
        yield raw


def request(simulator, provider: str, knobs: str = "", *, stream: bool = False, key: str | None = None) -> dict:
    """A request as httpx takes it, its message carrying the knobs."""
    text = f"hello [[sim: {knobs}]]" if knobs else "hello"
    return {
        "method": "POST",
        "url": f"{simulator.base_url(provider)}/{PATHS[provider]}",
        "headers": {"authorization": f"Bearer {key or KEYS[provider]}", "anthropic-version": "2026-10-21"},
        "json": {
            "model": MODELS[provider],
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
        },
    }


async def received(http: httpx.AsyncClient, wanted: dict) -> tuple[str, Exception | None]:
    """What of a streamed body arrives, and the error that ends it, if one does."""
    text = ""
    async with http.stream(**wanted) as response:
        try:
            async for piece in response.aiter_text():
                text += piece
        except httpx.HTTPError as error:
            return text, error
    return text, None


@BOTH
@pytest.mark.parametrize("status", STATUSES)
async def test_any_status_can_be_had_in_the_dialects_shape(simulator, http, provider, status):
    response = await http.request(**request(simulator, provider, f"fail={status}"))
    assert response.status_code == status
    if response.headers["content-type"].startswith("text/html"):
        assert status in (502, 504)
        assert "<html>" in response.text
        return
    error = response.json()["error"]
    assert error["message"]
    if provider == "anthropic":
        assert response.json()["type"] == "error"
        assert error["type"] == ANTHROPIC_TYPES.get(status, error["type"])
    else:
        assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("provider", "kind", "status", "type_", "code"),
    [
        ("openai", "no_quota", 429, "insufficient_quota", "insufficient_quota"),
        ("openai", "rate_limit", 429, "requests", "rate_limit_exceeded"),
        ("openai", "token_rate_limit", 429, "tokens", "rate_limit_exceeded"),
        ("openai", "context_length", 400, "invalid_request_error", "context_length_exceeded"),
        ("anthropic", "no_quota", 400, "invalid_request_error", None),
        ("anthropic", "context_length", 400, "invalid_request_error", None),
        ("anthropic", "token_rate_limit", 429, "rate_limit_error", None),
    ],
)
async def test_the_flavours_of_a_status_have_names(simulator, http, provider, kind, status, type_, code):
    response = await http.request(**request(simulator, provider, f"fail={kind}"))
    error = response.json()["error"]
    assert (response.status_code, error["type"], error.get("code")) == (status, type_, code)


@BOTH
async def test_retry_after_in_all_its_forms(simulator, http, provider):
    seconds = await http.request(**request(simulator, provider, "fail=429 retry_after=2"))
    assert seconds.headers["retry-after"] == "2"
    millis = await http.request(**request(simulator, provider, "fail=429 retry_after_ms=1500"))
    assert millis.headers["retry-after-ms"] == "1500"
    dated = await http.request(**request(simulator, provider, "fail=429 retry_after_date=3600"))
    ahead_s = parsedate_to_datetime(dated.headers["retry-after"]).timestamp() - time.time()
    assert 3500 < ahead_s < 3700


async def test_an_sdk_waits_as_told_and_tries_again(simulator):
    simulator.scripts.add("openai", fail=429, retry_after_ms=10, times=1)
    async with openai.AsyncOpenAI(api_key=KEYS["openai"], base_url=simulator.base_url("openai")) as client:
        completion = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
        )
    assert completion.choices[0].message.content == "You said: hello"
    assert [each.status for each in simulator.journal.entries()] == [429, 200]


@BOTH
@pytest.mark.parametrize("where", ["fail=401", "error_after=1"])
async def test_an_error_can_repeat_the_whole_key(simulator, http, provider, where):
    wanted = request(simulator, provider, f"{where} echo_key", stream="after" in where)
    assert KEYS[provider] in (await http.request(**wanted)).text


@BOTH
async def test_an_ordinary_error_does_not_repeat_the_key(simulator, http, provider):
    wrong = "sk-wrong-0123456789-abcdef"
    response = await http.request(**request(simulator, provider, key=wrong))
    assert response.status_code == 401
    assert wrong not in response.text


@BOTH
async def test_a_redirect_to_elsewhere(simulator, http, provider):
    response = await http.request(**request(simulator, provider, "redirect=http://127.0.0.2:9/x"))
    assert (response.status_code, response.headers["location"]) == (302, "http://127.0.0.2:9/x")


@BOTH
async def test_no_byte_until_the_client_gives_up(simulator, http, provider):
    with pytest.raises(httpx.ReadTimeout):
        await http.request(**request(simulator, provider, "hang"), timeout=0.2)
    (entry,) = await simulator.settled()
    assert (entry.outcome, entry.first_byte_ms) == ("disconnected", None)


@BOTH
async def test_bodies_that_go_wrong(simulator, http, provider):
    broken = await http.request(**request(simulator, provider, "invalid_json"))
    with pytest.raises(json.JSONDecodeError):
        broken.json()
    mistyped = await http.request(**request(simulator, provider, "content_type=text/plain"))
    assert mistyped.headers["content-type"] == "text/plain"
    page = await http.request(**request(simulator, provider, "html"))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    huge = await http.request(**request(simulator, provider, "huge=300000"))
    assert "x" * 300_000 in huge.text


@BOTH
async def test_a_whole_answer_can_be_compressed(simulator, http, provider):
    plain = await http.request(**request(simulator, provider, "gzip"))
    assert plain.headers["content-encoding"] == "gzip"
    assert "You said: hello" in plain.text
    async with http.stream(**request(simulator, provider, "gzip")) as raw:
        assert b"You said" in gzip.decompress(b"".join([piece async for piece in raw.aiter_raw()]))


@BOTH
async def test_a_chunk_that_is_not_json(simulator, http, provider):
    text, error = await received(http, request(simulator, provider, "chunks=5 invalid_json", stream=True))
    assert error is None
    data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: {")]
    broken = [each for each in data if not is_json(each)]
    assert len(broken) == 1


@BOTH
@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("reset", httpx.ReadError),
        ("eof", httpx.RemoteProtocolError),
        ("half_event", httpx.RemoteProtocolError),
        ("end", None),
    ],
)
async def test_a_stream_is_cut_at_a_chunk(simulator, http, provider, chunks, mode, expected):
    knobs = f"chunks=9 cut_after={chunks} cut_mode={mode}"
    text, error = await received(http, request(simulator, provider, knobs, stream=True))
    assert type(error) is (expected or type(None))
    assert [has_word(text, index) for index in range(9)] == [index < chunks for index in range(9)]
    assert text.endswith("\n\n") == (mode != "half_event" and text != "")
    (entry,) = await simulator.settled()
    assert (entry.outcome, entry.chunks_sent, entry.status) == ("cut", chunks, 200)


@BOTH
@pytest.mark.parametrize(("mode", "expected"), [("reset", httpx.ReadError), ("eof", httpx.RemoteProtocolError)])
async def test_a_whole_answer_is_cut_in_its_middle(simulator, http, provider, mode, expected):
    with pytest.raises(expected):
        await http.request(**request(simulator, provider, f"cut_after=0 cut_mode={mode}"))


@BOTH
@pytest.mark.parametrize("chunks", [0, 2])
async def test_an_error_comes_inside_the_stream(simulator, http, provider, chunks):
    knobs = f"chunks=5 error_after={chunks} fail=overloaded"
    text, error = await received(http, request(simulator, provider, knobs, stream=True))
    assert error is None
    last = text.rstrip("\n").split("\n\n")[-1]
    assert json.loads(last.split("data: ")[1])["error"]["message"]
    assert last.startswith("event: error" if provider == "anthropic" else "data: ")
    assert text.count("data: ") == 1 or chunks
    assert (has_word(text, 1), has_word(text, 2)) == (bool(chunks), False)


async def test_sdks_raise_on_an_error_inside_the_stream(simulator):
    message = {"role": "user", "content": "[[sim: chunks=5 error_after=2 fail=529]]"}
    async with openai.AsyncOpenAI(api_key=KEYS["openai"], base_url=simulator.base_url("openai")) as client:
        with pytest.raises(openai.APIError, match="Overloaded"):
            async for _ in await client.chat.completions.create(model="gpt-4o", messages=[message], stream=True):
                pass
    async with anthropic.AsyncAnthropic(api_key=KEYS["anthropic"], base_url=f"{simulator.origin}/anthropic") as client:
        with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
            async with client.messages.stream(model="claude-opus-5", max_tokens=9, messages=[message]) as stream:
                await stream.get_final_message()


@BOTH
async def test_a_stream_error_fails_an_answer_that_is_no_stream(simulator, http, provider):
    response = await http.request(**request(simulator, provider, "error_after=2 fail=429 retry_after=1"))
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


@BOTH
async def test_a_stream_falls_silent(simulator, http, provider):
    text, error = await received(
        http, request(simulator, provider, "chunks=9 hang_after=2", stream=True) | {"timeout": 0.3}
    )
    assert isinstance(error, httpx.ReadTimeout)
    assert (has_word(text, 1), has_word(text, 2)) == (True, False)
    (entry,) = await simulator.settled()
    assert (entry.outcome, entry.chunks_sent) == ("disconnected", 2)


@BOTH
async def test_the_pace_is_the_one_asked_for(simulator, http, provider):
    knobs = "chunks=4 header_ms=40 first_token_ms=60 delay_ms=50"
    begun = time.monotonic()
    arrivals = []
    async with http.stream(**request(simulator, provider, knobs, stream=True)) as response:
        headers_s = time.monotonic() - begun
        async for line in response.aiter_lines():
            if any(has_word(line, index) for index in range(4)):
                arrivals.append(time.monotonic() - begun)
    assert headers_s >= 0.04
    assert [arrival >= due for arrival, due in zip(arrivals, (0.1, 0.15, 0.2, 0.25), strict=True)] == [True] * 4


@BOTH
async def test_a_long_stream_in_one_write_is_complete(simulator, http, provider):
    text, error = await received(http, request(simulator, provider, "chunks=2000 at_once", stream=True))
    assert error is None
    assert has_word(text, 1999)
    (entry,) = await simulator.settled()
    assert entry.chunks_sent == 2000


@BOTH
async def test_keep_alives_come_before_the_first_content(simulator, http, provider):
    text, _ = await received(http, request(simulator, provider, "pings=3", stream=True))
    before = text[: text.index("You")]
    assert before.count(": PROCESSING" if provider == "openai" else "event: ping") >= 3


@BOTH
async def test_the_usage_reported_can_be_dictated(simulator, http, provider):
    counts = "input_tokens=1000 cached_tokens=600 cache_write_tokens=100 output_tokens=50 reasoning_tokens=20"
    usage = (await http.request(**request(simulator, provider, counts))).json()["usage"]
    if provider == "openai":
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1000, 50, 1050)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 600
        assert usage["prompt_tokens_details"]["cache_write_tokens"] == 100
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 20
    else:
        assert (usage["input_tokens"], usage["output_tokens"]) == (300, 50)
        assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (600, 100)
        assert usage["output_tokens_details"] == {"thinking_tokens": 20}


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_can_be_missing(simulator, http, provider, stream):
    response = await http.request(**request(simulator, provider, "no_usage", stream=stream))
    assert "usage" not in response.text


@BOTH
async def test_a_directive_with_a_mistake_says_so(simulator, http, provider):
    response = await http.request(**request(simulator, provider, "fial=429"))
    assert response.status_code == 400
    assert "unknown knob 'fial'" in response.json()["error"]["message"]


def has_word(text: str, index: int) -> bool:
    """Whether this piece of a numbered answer has arrived; random ids cannot be taken for it."""
    return f'"{" " if index else ""}w{index}"' in text


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
