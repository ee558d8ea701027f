"""What a client gets when its provider refuses, fails, or breaks off: told apart, recorded, and without the key.

The account has one key and no way around it, so that every failure is to be seen.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from decimal import Decimal

import pytest

from tests.e2e.accounts import Account, SavedKey, new_provider_key, said
from tests.e2e.stage import WAIT_S, chunk
from tests.e2e.surfaces import BOTH, CHAT, MESSAGES, Refusal, Surface
from tests.e2e.world import World

EXHAUSTED = "upstream_credentials_exhausted"


@dataclass(frozen=True)
class Team:
    """An account with one key at each provider."""

    account: Account
    keys: dict[str, SavedKey]

    def key(self, surface: Surface) -> str:
        return self.keys[surface.name].key

    def refused(self, surface: Surface, text: str = "hello", **more: object) -> Refusal:
        """A refusal, with what holds for every one of them."""
        refusal = surface.refused(self.account, text, **more)
        key = self.key(surface)
        for secret in (key, key[8:24], self.account.gateway_key):
            assert secret not in refusal.text
        assert refusal.headers["x-ownkey-provider"] == surface.provider_id
        assert refusal.headers["x-ownkey-credential-source"] == "byok"
        return refusal


@pytest.fixture(scope="module")
def team(world: World) -> Team:
    account = world.account(platform_allowed=False)
    return Team(account, {each.name: account.save_key(each.provider) for each in (CHAT, MESSAGES)})


@pytest.fixture(autouse=True)
def nothing_has_failed_before(world: World, team: Team) -> None:
    """One test's failures must not keep the next one's requests from the provider."""
    world.forget_health(team.account.id)


class TestRefusals:
    """The provider answers, with an error. Nothing was generated, nothing costs anything."""

    @BOTH
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    @pytest.mark.parametrize(
        "fail, status, code, exceptions, retried",
        [
            ("400", 400, None, {"BadRequestError"}, "false"),
            ("404", 404, None, {"NotFoundError"}, "false"),
            ("413", 413, None, {"APIStatusError", "ContentTooLargeError"}, "false"),
            ("422", 422, None, {"UnprocessableEntityError"}, "false"),
            ("401", 502, EXHAUSTED, {"InternalServerError"}, "false"),
            ("402", 502, EXHAUSTED, {"InternalServerError"}, "false"),
            ("403", 502, EXHAUSTED, {"InternalServerError"}, "false"),
            ("no_quota", 502, EXHAUSTED, {"InternalServerError"}, "false"),
            ("429", 429, "upstream_rate_limited", {"RateLimitError"}, None),
            ("408", 504, "provider_timeout", {"InternalServerError", "GatewayTimeoutError"}, None),
            ("409", 502, "provider_error", {"InternalServerError"}, None),
            ("500", 502, "provider_error", {"InternalServerError"}, None),
            ("504", 504, "provider_timeout", {"InternalServerError", "GatewayTimeoutError"}, None),
        ],
    )
    def test_are_told_apart(self, team, surface, streamed, fail, status, code, exceptions, retried):
        refusal = team.refused(surface, f"[[sim: fail={fail} echo_key]]", stream=streamed)
        assert (refusal.status, refusal.exception in exceptions) == (status, True), refusal
        assert code in (None, refusal.code)
        assert refusal.error["metadata"]["source"] == "provider"
        assert refusal.headers.get("x-should-retry") == retried
        attempt = team.account.attempt(refusal.request_id)
        assert (attempt["outcome"], attempt["error_code"]) == ("refused", refusal.code)
        assert attempt["status"] == refusal.error["metadata"]["provider_status"]
        assert (attempt["usage_source"], attempt["cost_usd"], attempt["charge_usd"]) == ("none", "0", "0")

    @pytest.mark.parametrize(
        "surface, fail, status, exception",
        [
            (CHAT, "503", 503, "InternalServerError"),
            (CHAT, "529", 503, "InternalServerError"),
            (MESSAGES, "529", 529, "OverloadedError"),
        ],
        ids=["chat 503", "chat 529", "messages 529"],
    )
    def test_an_overload_has_the_surfaces_own_status(self, team, surface, fail, status, exception):
        refusal = team.refused(surface, f"[[sim: fail={fail}]]")
        assert (refusal.status, refusal.code, refusal.exception) == (status, "provider_overloaded", exception)

    @BOTH
    def test_the_providers_own_words_reach_the_client(self, team, surface):
        refusal = team.refused(surface, "[[sim: fail=content_policy]]")
        assert "content" in refusal.error["message"].lower()
        assert refusal.status == 400

    def test_the_providers_own_code_reaches_the_client(self, team):
        refusal = team.refused(CHAT, "[[sim: fail=context_length]]")
        assert (refusal.status, refusal.code) == (400, "context_length_exceeded")
        assert refusal.error["param"] == "messages"

    @BOTH
    def test_a_revoked_key_is_named_by_its_alias_alone(self, world, surface):
        account = world.account(platform_allowed=False)
        key = account.save_key(surface.provider, alias="production").key
        world.set_key(surface.provider_id, key, False)
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (502, EXHAUSTED)
        assert refusal.headers["x-ownkey-credential"] == "production"
        assert "rotate" in refusal.error["metadata"]["fix"].lower()
        assert key not in refusal.text
        assert key[8:24] not in refusal.text


class TestRetries:
    @BOTH
    @pytest.mark.parametrize(
        "knob, header, value",
        [
            ("retry_after=7", "retry-after", "7"),
            ("retry_after_ms=1500", "retry-after-ms", "1500"),
        ],
    )
    def test_the_wait_that_the_provider_asks_for_is_passed_on(self, team, surface, knob, header, value):
        refusal = team.refused(surface, f"[[sim: fail=429 {knob}]]")
        assert refusal.headers[header] == value

    def test_a_date_becomes_seconds(self, team):
        refusal = team.refused(CHAT, "[[sim: fail=429 retry_after_date=30]]")
        assert 1 <= int(refusal.headers["retry-after"]) <= 30

    @BOTH
    def test_the_sdk_waits_as_told_and_tries_again(self, world, team, surface):
        world.script(surface.provider_id, key=team.key(surface), times=1, fail="429", retry_after_ms=120)
        before = len(world.calls(team.key(surface)))
        began = time.monotonic()
        answer = surface.raw(team.account, max_retries=2)
        assert time.monotonic() - began >= 0.12
        assert answer.retries_taken == 1
        assert len(world.calls(team.key(surface))) == before + 2

    @BOTH
    def test_the_sdk_does_not_repeat_what_cannot_help(self, world, team, surface):
        before = len(world.calls(team.key(surface)))
        refusal = team.refused(surface, "[[sim: fail=401]]", max_retries=2)
        assert refusal.code == EXHAUSTED
        assert len(world.calls(team.key(surface))) == before + 1


class TestNoUsableAnswer:
    @BOTH
    @pytest.mark.parametrize("knob, streamed", [("invalid_json", False), ("html", False), ("html", True)])
    def test_a_body_that_is_none(self, team, surface, streamed, knob):
        refusal = team.refused(surface, f"[[sim: {knob}]]", stream=streamed)
        assert (refusal.status, refusal.code) == (502, "provider_invalid_response")
        attempt = team.account.attempt(refusal.request_id)
        assert (attempt["outcome"], attempt["error_code"]) == ("failed", "provider_invalid_response")

    @BOTH
    def test_a_stream_that_is_not_called_one(self, team, surface):
        refusal = team.refused(surface, "[[sim: content_type=text/html]]", stream=True)
        assert (refusal.status, refusal.code) == (502, "provider_invalid_response")

    @BOTH
    def test_a_connection_that_breaks_within_the_body(self, team, surface):
        refusal = team.refused(surface, "[[sim: cut_after=0]]")
        assert (refusal.status, refusal.error["metadata"]["source"]) == (502, "provider")
        assert team.account.attempt(refusal.request_id)["outcome"] == "failed"

    @BOTH
    def test_a_redirect_is_not_followed(self, world, team, surface):
        elsewhere = world.scene()
        knobs = {"redirect": f"{elsewhere.base_url}/chat/completions", "times": 1}
        world.script(surface.provider_id, key=team.key(surface), **knobs)
        refusal = team.refused(surface)
        assert (refusal.status, refusal.code) == (502, "provider_invalid_response")
        assert elsewhere.requests.empty()

    def test_a_provider_that_cannot_be_reached(self, world):
        account = world.cut_off_account()
        refusal = CHAT.refused(account, model="openai-compatible/any")
        assert (refusal.status, refusal.code) == (502, "provider_unreachable")
        assert refusal.exception == "InternalServerError"
        attempt = account.attempt(refusal.request_id)
        assert (attempt["outcome"], attempt["status"], attempt["usage_source"]) == ("failed", None, "none")


@BOTH
def test_a_compressed_answer_is_read(team, surface):
    answer = surface.raw(team.account, "[[sim: gzip]] hello")
    assert list(surface.pieces(answer.parse(), streamed=False)) == ["You said: hello"]
    assert answer.parse().usage.to_dict()["is_byok"] is True


class TestBrokenStreams:
    """The answer had begun: what came stays, then an error stands in the stream, which the SDKs raise."""

    @BOTH
    @pytest.mark.parametrize("mode", ["reset", "eof", "half_event", "end"])
    def test_a_connection_that_breaks(self, team, surface, mode):
        answer = surface.raw(team.account, f"[[sim: chunks=8 cut_after=3 cut_mode={mode}]]", stream=True)
        pieces = surface.pieces(answer.parse(), streamed=True)
        assert list(itertools.islice(pieces, 3)) == ["w0", " w1", " w2"]
        with pytest.raises(surface.errors.APIError) as broken:
            next(pieces)
        assert self.code(broken.value) == "provider_stream_broken"
        attempt = team.account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["outcome"], attempt["usage_source"]) == ("broken", "estimated")
        assert attempt["usage"]["output_tokens"] > 0
        assert Decimal(attempt["cost_usd"]) > 0

    @BOTH
    @pytest.mark.parametrize("fail", ["500", "529", "429"])
    def test_an_error_in_the_stream(self, team, surface, fail):
        answer = surface.raw(team.account, f"[[sim: chunks=8 error_after=3 fail={fail} echo_key]]", stream=True)
        pieces = surface.pieces(answer.parse(), streamed=True)
        assert list(itertools.islice(pieces, 3)) == ["w0", " w1", " w2"]
        with pytest.raises(surface.errors.APIError) as broken:
            next(pieces)
        assert team.key(surface) not in str(broken.value.body)
        assert team.key(surface)[8:24] not in str(broken.value.body)
        assert team.account.attempt(answer.headers["x-ownkey-request-id"])["outcome"] == "broken"

    @BOTH
    def test_an_error_as_the_first_event_is_an_answer_with_a_status(self, team, surface):
        refusal = team.refused(surface, "[[sim: error_after=0 fail=429]]", stream=True)
        assert (refusal.status, refusal.code) == (429, "upstream_rate_limited")

    @BOTH
    def test_an_event_that_is_no_json(self, team, surface):
        answer = surface.raw(team.account, "[[sim: invalid_json]] one two three four", stream=True)
        with pytest.raises(surface.errors.APIError) as broken:
            list(surface.pieces(answer.parse(), streamed=True))
        assert self.code(broken.value) == "provider_invalid_response"
        attempt = team.account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["outcome"], attempt["error_code"]) == ("broken", "provider_invalid_response")

    def test_a_stream_ends_with_its_error_and_the_end_that_clients_wait_for(self, team):
        body = CHAT.body("[[sim: chunks=8 cut_after=3]]", stream=True)
        lines = team.account.post(CHAT.path, body).text.strip().split("\n\n")
        assert lines[-1] == "data: [DONE]"
        assert '"provider_stream_broken"' in lines[-2]

    def code(self, error: object) -> str:
        body = getattr(error, "body", None) or {}
        return body.get("error", body)["code"]


class TestClientsThatGoAway:
    def test_are_recorded_with_what_the_provider_says_it_used(self, world, account):
        """The provider is read to its end: what it generated it will charge. API Gateway may not even tell of it."""
        scene = world.scene()
        account.save_key("openai-compatible", base_url=scene.base_url)
        scene.send(chunk("one "), chunk("two "))
        client = account.openai().chat.completions
        answer = client.with_raw_response.create(model="openai-compatible/any", messages=said("hi"), stream=True)
        with answer.parse() as stream:
            assert next(iter(stream)).choices[0].delta.content == "one "
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        scene.send(chunk("three", finish="stop"), chunk(usage=usage), b"data: [DONE]\n\n")
        scene.end()
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert attempt["outcome"] in {"cancelled", "succeeded"}
        assert scene.gone.get(timeout=WAIT_S) is False
        assert (attempt["usage_source"], attempt["usage"]["input_tokens"], attempt["usage"]["output_tokens"]) == (
            "provider",
            11,
            7,
        )


def test_a_wrong_platform_key_is_not_the_clients_to_see(world):
    """What a provider says of the operator's key is scrubbed like any other."""
    secret = new_provider_key("Groq")
    platform = world.operator("platform")
    (credential,) = [each for each in platform.ok("GET", "/api/byok")["data"] if each["provider"] == "groq"]
    platform.ok("POST", f"/api/byok/{credential['id']}/rotate", {"key": secret})
    world.script("groq", key=secret, fail="401", echo_key=True)
    account = world.account(credits_usd="5")
    refusal = CHAT.refused(account, model="groq/openai/gpt-oss-120b")
    assert refusal.code == EXHAUSTED
    assert secret not in refusal.text
    assert secret[8:24] not in refusal.text
