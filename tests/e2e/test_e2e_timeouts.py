"""A provider that does not answer in time: an error before the function is over, and a record of what was used.

The function of this stack has little time, so that its deadline comes first of all limits.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.accounts import Account
from tests.e2e.surfaces import BOTH, CHAT, MESSAGES
from tests.e2e.world import World

FUNCTION_S = 6.8
"""Of which five are kept free for the end."""


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    world = World(tmp_path_factory.mktemp("logs"), timeouts_s={"InferenceFunction": FUNCTION_S})
    world.start()
    account = world.account(platform_allowed=False)
    account.save_key("OpenAI")
    account.save_key("Anthropic")
    yield account
    world.stop()


@pytest.mark.parametrize("surface, streamed", [(CHAT, False), (MESSAGES, True)], ids=["whole", "streamed"])
def test_silence_from_the_beginning_is_an_answer_with_a_status(team, surface, streamed):
    refusal = surface.refused(team, "[[sim: hang]]", stream=streamed)
    assert (refusal.status, refusal.code) == (504, "provider_timeout")
    assert refusal.error["metadata"]["source"] == "provider"
    attempt = team.attempt(refusal.request_id)
    assert (attempt["outcome"], attempt["error_code"], attempt["status"]) == ("failed", "provider_timeout", None)
    assert attempt["usage_source"] == "none"


@BOTH
def test_silence_in_a_stream_is_an_error_in_the_stream(team, surface):
    answer = surface.raw(team, "[[sim: chunks=60 hang_after=40]]", stream=True)
    pieces = surface.pieces(answer.parse(), streamed=True)
    assert len(list(itertools.islice(pieces, 40))) == 40
    with pytest.raises(surface.errors.APIError) as broken:
        next(pieces)
    body = broken.value.body
    assert body.get("error", body)["code"] == "provider_timeout"
    attempt = team.attempt(answer.headers["x-ownkey-request-id"])
    assert (attempt["outcome"], attempt["error_code"]) == ("broken", "provider_timeout")
    assert attempt["usage_source"] == "estimated"
    assert attempt["usage"]["output_tokens"] >= 20


def test_a_killed_function_blocks_its_idempotency_key_no_longer_than_it_could_have_lived(team):
    """SIGKILL in the middle of a stream. Until its time would have been over nobody knows that it is not at work."""
    named = {"extra_headers": {"Idempotency-Key": uuid.uuid4().hex}}
    team.world.script("openai", chunks=60, hang_after=40, times=1)
    pieces = CHAT.pieces(CHAT.raw(team, stream=True, **named).parse(), streamed=True)
    assert len(list(itertools.islice(pieces, 40))) == 40
    team.world.call(team.world.up.stack.kill, "InferenceFunction")
    with pytest.raises(openai.APIConnectionError):
        list(pieces)

    def again() -> Any:
        try:
            return CHAT.raw(team, stream=True, **named)
        except openai.ConflictError as refused:
            return refused

    give_up, refused = time.monotonic() + 4 * FUNCTION_S, []
    while isinstance(answer := again(), openai.ConflictError) and time.monotonic() < give_up:
        refused.append(answer)
    assert {each.code for each in refused} == {"idempotency_in_flight"}
    assert all(1 <= int(each.response.headers["retry-after"]) <= 5 for each in refused)
    assert "idempotent-replayed" not in answer.headers
    assert "hello" in "".join(CHAT.pieces(answer.parse(), streamed=True))
