"""Clients that hang up, over real sockets and through the API: recorded once, with the provider's usage."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.accounts import Account
from tests.e2e.stage import WAIT_S, Scene, chunk
from tests.e2e.world import World

USAGE = {"prompt_tokens": 50, "completion_tokens": 30, "total_tokens": 80}
BODY = {"model": "openai-compatible/played", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def served(world: World, policy: str) -> tuple[Account, Scene]:
    account, scene = world.account(on_disconnect=policy), world.scene()
    account.save_key("openai-compatible", base_url=scene.base_url)
    return account, scene


def hang_up_after(account: Account, scene: Scene, pieces: int) -> str:
    """Reads so many events and closes the connection; gives the request's id."""
    headers = {"authorization": f"Bearer {account.gateway_key}"}
    url = f"{account.world.base_url}/v1/chat/completions"
    scene.send(*(chunk(f"w{index} ") for index in range(pieces)))
    with (
        httpx.Client(verify=False, trust_env=False, timeout=60) as http,
        http.stream("POST", url, json=BODY, headers=headers) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line.startswith("data:"))
        for _ in range(pieces):
            next(lines)
        return answer.headers["x-ownkey-request-id"]


@pytest.mark.parametrize("policy", ["drain", "abort"])
def test_an_answer_is_read_to_its_end_as_nobody_tells_the_function(world: World, policy: str) -> None:
    """API Gateway and Lambda let a streamed answer run on when its client has gone, and say nothing of it."""
    account, scene = served(world, policy)
    request_id = hang_up_after(account, scene, 2)
    scene.send(chunk("the rest", finish="stop"), chunk(usage=USAGE), b"data: [DONE]\n\n")
    scene.end()
    assert scene.gone.get(timeout=WAIT_S) is False, "the provider was heard to its end"
    attempt = account.attempt(request_id)
    assert attempt["outcome"] in {"cancelled", "succeeded"}
    assert attempt["usage_source"] == "provider"
    assert (attempt["usage"]["input_tokens"], attempt["usage"]["output_tokens"]) == (50, 30)
