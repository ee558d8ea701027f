"""Keys, scripts and the journal of the simulated provider, through its admin API and beside it."""

import hashlib
import json
import subprocess
import sys

import httpx
import openai
import pytest

from local.simulator import start_simulator

KEY = "sk-sim-0123456789abcdef"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {"model": "claude-opus-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
async def http(simulator):
    async with httpx.AsyncClient(verify=False, base_url=simulator.origin, timeout=5) as raw:
        yield raw


async def chat(http: httpx.AsyncClient, provider: str = "openai", key: str = KEY, **change) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return await http.post(f"/{provider}/v1/chat/completions", json=CHAT | change, headers=headers)


async def admin(http: httpx.AsyncClient, resource: str, /, **body) -> dict:
    response = await http.post(f"/_sim/{resource}", json=body)
    assert response.status_code == 201, response.text
    return response.json()


async def test_an_unknown_key_is_refused_as_openai_does_it(http):
    response = await chat(http, key="sk-stranger-0123456789-wxyz")
    assert response.status_code == 401
    error = response.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")
    assert error["message"].startswith("Incorrect API key provided: sk-stran***************wxyz.")


async def test_a_missing_key_is_refused_as_openai_does_it(http):
    response = await http.post("/openai/v1/chat/completions", json=CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (401, None)
    assert response.json()["error"]["message"].startswith("You didn't provide an API key")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-api-key": "sk-ant-stranger"}, "invalid x-api-key"),
        ({"authorization": "Bearer sk-ant-stranger"}, "Invalid bearer token"),
        ({}, "x-api-key header is required"),
    ],
)
async def test_an_unknown_key_is_refused_as_anthropic_does_it(http, headers, message):
    headers |= {"anthropic-version": "2023-06-01"}
    response = await http.post("/anthropic/v1/messages", json=MESSAGE, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == {"type": "authentication_error", "message": message}


@pytest.mark.parametrize(
    ("provider", "key", "accepted"),
    [
        ("openai", "sk-sim-1", True),
        ("openai", "sk-proj-sim-1", True),
        ("openai", "sk-ant-sim-1", False),
        ("anthropic", "sk-ant-sim-1", True),
        ("anthropic", "sk-sim-1", False),
        ("groq", "gsk_sim-1", True),
        ("groq", "gsk_1", False),
    ],
)
async def test_keys_are_judged_by_their_form(http, provider, key, accepted):
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2026-10-21"}
    response = await http.get(f"/{provider}/v1/models", headers=headers)
    assert response.status_code == (200 if accepted else 401)


async def test_a_key_is_registered_and_revoked(http):
    strange = "any-key-at-all"
    assert (await chat(http, key=strange)).status_code == 401
    await admin(http, "keys", provider="openai", key=strange, accepted=True)
    assert (await chat(http, key=strange)).status_code == 200
    assert (await chat(http, "groq", key=strange)).status_code == 401
    await admin(http, "keys", provider="openai", key=strange, accepted=False)
    assert (await chat(http, key=strange)).status_code == 401


@pytest.mark.parametrize(
    ("accepted", "models", "inference", "code"),
    [
        ("no-quota", 200, 429, "insufficient_quota"),
        ("no-payment", 200, 402, "invalid_request_error"),
        ("rate-limited", 200, 429, "rate_limit_exceeded"),
        ("forbidden", 200, 403, "model_not_found"),
        ("no-models-scope", 403, 200, None),
    ],
)
async def test_a_key_can_be_half_good(http, accepted, models, inference, code):
    await admin(http, "keys", provider="openai", key=KEY, accepted=accepted)
    listed = await http.get("/openai/v1/models", headers={"authorization": f"Bearer {KEY}"})
    answered = await chat(http)
    assert (listed.status_code, answered.status_code) == (models, inference)
    assert answered.json().get("error", {}).get("code") == code


async def test_registered_keys_are_shown_as_digests_and_forgotten(http):
    await admin(http, "keys", provider="openai", key=KEY, accepted="no-quota")
    listed = await http.get("/_sim/keys")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    assert listed.json()["keys"] == [{"provider": "openai", "key_sha256": digest, "accepted": "no-quota"}]
    assert KEY not in listed.text
    await http.delete("/_sim/keys")
    assert (await chat(http)).status_code == 200


async def test_a_script_is_used_as_often_as_it_says(http):
    await admin(http, "behaviour", provider="openai", fail=500, times=2)
    assert [(await chat(http)).status_code for _ in range(3)] == [500, 500, 200]
    assert (await http.get("/_sim/behaviour")).json() == {"behaviour": []}


async def test_a_script_lasts_until_it_is_cleared(http):
    made = await admin(http, "behaviour", provider="openai", fail=503)
    await admin(http, "behaviour", provider="groq", fail=503)
    assert [(await chat(http)).status_code for _ in range(3)] == [503] * 3
    await http.delete("/_sim/behaviour", params={"id": made["id"]})
    assert (await chat(http)).status_code == 200
    assert (await chat(http, "groq", key="gsk_sim-1")).status_code == 503
    await http.delete("/_sim/behaviour")
    assert (await chat(http, "groq", key="gsk_sim-1")).status_code == 200


@pytest.mark.parametrize(
    ("match", "other"),
    [
        ({"provider": "openai"}, {"provider": "groq"}),
        ({"key": KEY}, {"key": "sk-sim-another"}),
        ({"model": "gpt-4o"}, {"model": "gpt-4o-mini"}),
    ],
)
async def test_a_script_is_for_what_it_names(http, match, other):
    await admin(http, "behaviour", fail=500, **match)
    assert (await chat(http, **match)).status_code == 500
    assert (await chat(http, **other)).status_code == 200


async def test_a_script_for_one_path_leaves_the_others_alone(http):
    await admin(http, "behaviour", path="models", fail=500)
    assert (await chat(http)).status_code == 200
    listed = await http.get("/openai/v1/models", headers={"authorization": f"Bearer {KEY}"})
    assert listed.status_code == 500


async def test_scripts_are_used_in_the_order_they_came(http):
    for status in (429, 500, 503):
        await admin(http, "behaviour", provider="openai", fail=status, times=1)
    assert [(await chat(http)).status_code for _ in range(4)] == [429, 500, 503, 200]


async def test_a_provider_that_is_down_does_not_look_at_keys(http):
    await admin(http, "behaviour", provider="openai", fail=503)
    assert (await chat(http, key="sk-stranger")).status_code == 503


async def test_a_script_wins_over_the_message(http):
    await admin(http, "behaviour", provider="openai", chunks=2)
    answer = await chat(http, messages=[{"role": "user", "content": "[[sim: chunks=5 finish=length]]"}])
    choice = answer.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("w0 w1", "length")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("behaviour", {"provider": "openai", "fial": 429}),
        ("behaviour", {"provider": "openai", "fail": 200}),
        ("behaviour", ["fail"]),
        ("keys", {"provider": "openai"}),
        ("keys", {"provider": "openai", "key": "k", "accepted": "perhaps"}),
    ],
)
async def test_a_wrong_instruction_is_refused(http, path, body):
    response = await http.post(f"/_sim/{path}", json=body)
    assert response.status_code == 400
    assert response.json()["error"]


async def test_a_provider_can_be_given_other_models(http):
    await admin(http, "models", provider="groq", models=["llama"])
    headers = {"authorization": "Bearer gsk_sim-1"}
    listed = await http.get("/groq/v1/models", headers=headers)
    assert [each["id"] for each in listed.json()["data"]] == ["llama"]
    assert (await chat(http, "groq", key="gsk_sim-1", model="mixtral")).status_code == 404
    await admin(http, "models", provider="groq", models=None)
    assert (await chat(http, "groq", key="gsk_sim-1", model="mixtral")).status_code == 200


async def test_the_journal_knows_what_came_and_what_went(simulator, http):
    headers = {"authorization": f"Bearer {KEY}", "cookie": "session=1", "x-team": f"of {KEY}"}
    body = CHAT | {"stream": True, "messages": [{"role": "user", "content": "[[sim: chunks=3]]"}]}
    await http.post("/openai/v1/chat/completions?a=1", json=body, headers=headers)
    await simulator.settled()
    listed = await http.get("/_sim/requests", params={"provider": "openai"})
    (entry,) = listed.json()["requests"]
    assert (entry["provider"], entry["method"], entry["path"]) == ("openai", "POST", "/openai/v1/chat/completions")
    assert (entry["query"], entry["body"], entry["knobs"]) == ("a=1", body, {"chunks": "3"})
    assert (entry["auth"], entry["key_last4"]) == ("bearer", "cdef")
    assert entry["key_sha256"] == hashlib.sha256(KEY.encode()).hexdigest()
    assert (entry["headers"]["authorization"], entry["headers"]["cookie"]) == ("[redacted]", "[redacted]")
    assert KEY not in listed.text
    assert (entry["status"], entry["outcome"], entry["disconnected"]) == (200, "answered", False)
    assert entry["chunks_sent"] == 3
    assert entry["bytes_sent"] > 500
    assert entry["received_ms"] <= entry["first_byte_ms"] <= entry["ended_ms"]


async def test_the_journal_is_read_from_a_place_and_cleared(http):
    for _ in range(3):
        await chat(http)
    listed = (await http.get("/_sim/requests", params={"after_id": 1})).json()
    assert [each["id"] for each in listed["requests"]] == [2, 3]
    assert listed["counters"]["openai"]["received"] == 3
    assert listed["counters"]["openai"]["by_status"] == {"200": 3}
    await http.delete("/_sim/requests")
    assert (await http.get("/_sim/requests")).json() == {"requests": [], "counters": {}}


async def test_a_client_that_goes_away_in_a_stream_is_noticed(simulator, http):
    simulator.scripts.add("openai", chunks=100, delay_ms=20)
    headers = {"authorization": f"Bearer {KEY}"}
    async with http.stream(
        "POST", "/openai/v1/chat/completions", json=CHAT | {"stream": True}, headers=headers
    ) as stream:
        async for line in stream.aiter_lines():
            if '" w2"' in line:
                break
    (entry,) = await simulator.settled()
    assert entry.outcome == "disconnected"
    assert 3 <= entry.chunks_sent < 100


async def test_a_reset_forgets_everything(simulator, http):
    simulator.keys.set("openai", KEY, False)
    simulator.models.set("openai", [])
    simulator.scripts.add("openai", fail=500)
    assert (await chat(http)).status_code == 500
    await http.post("/_sim/reset")
    assert (await chat(http)).status_code == 200
    assert len(simulator.journal.entries()) == 1


def test_it_runs_as_a_process_with_keys_from_a_file(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([{"provider": "openai", "key": "from-the-file", "accepted": True}]))
    process = subprocess.Popen(
        [sys.executable, "-m", "local.simulator", "--port", "0", "--keys", str(keys)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            origin = process.stdout.readline().strip()
            with openai.OpenAI(api_key="from-the-file", base_url=f"{origin}/openai/v1") as client:
                assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        finally:
            process.terminate()
        assert process.wait(10) == 0
