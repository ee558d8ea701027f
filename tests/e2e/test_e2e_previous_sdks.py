"""The SDKs of the generation before, from an environment of their own: Anthropic's sends `x-api-key`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.world import World

PYTHON = Path(__file__).parents[2] / ".venv-sdk-previous" / "bin" / "python"
SCRIPT = Path(__file__).with_name("previous_sdks.py")


@pytest.fixture(scope="module")
def seen(world: World) -> dict:
    account = world.account()
    account.save_key("OpenAI", alias="main")
    account.save_key("Anthropic", alias="claude")
    process = subprocess.run(
        [PYTHON, SCRIPT, world.base_url, account.gateway_key], capture_output=True, text=True, timeout=90, env={}
    )
    assert process.returncode == 0, process.stderr[-2_000:]
    return json.loads(process.stdout)


@pytest.mark.parametrize("vendor, major", [("openai", "2."), ("anthropic", "1.")])
def test_it_is_the_generation_before(seen, vendor, major):
    assert seen[vendor]["version"].startswith(major)


def test_anthropics_authenticates_by_the_older_header(seen):
    assert seen["anthropic"]["auth"] == ["X-Api-Key"]


@pytest.mark.parametrize("vendor, alias", [("openai", "main"), ("anthropic", "claude")])
def test_headers_say_who_served(seen, vendor, alias):
    headers = seen[vendor]["headers"]
    assert (headers["x-ownkey-byok"], headers["x-ownkey-provider"]) == ("true", vendor)
    assert (headers["x-ownkey-credential"], headers["x-ownkey-attempts"]) == (alias, "1")


def test_answers_whole_and_streamed(seen):
    assert seen["openai"]["whole"] == seen["openai"]["streamed"] == "You said: hello"
    assert seen["anthropic"]["whole"] == "You said: hello"
    assert seen["anthropic"]["streamed"] == ["thinking", "text"]
    assert seen["anthropic"]["counted"] == 5


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("which", ["usage", "streamed_usage"])
def test_usage_says_what_it_cost(seen, vendor, which):
    usage = seen[vendor][which]
    assert (usage["is_byok"], usage["cost"]) == (True, 0)
    assert usage["cost_details"]["upstream_inference_cost"] > 0


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_tools_and_models(seen, vendor):
    name, arguments = seen[vendor]["tool"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "sample"})
    assert seen[vendor]["models"] is True


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_errors_are_the_sdks_own(seen, vendor):
    wrong_key, no_model, cut = seen[vendor]["errors"]
    assert wrong_key[:2] == ["AuthenticationError", 401]
    assert no_model[:2] == ["NotFoundError", 404]
    assert [each[2]["code"] for each in (wrong_key, no_model)] == ["invalid_gateway_key", "model_not_found"]
    # In a stream the answer's status was 200: the SDKs raise their general error.
    assert cut[0] in {"APIError", "APIStatusError"}
    assert cut[2]["code"] == "provider_stream_broken"


@pytest.mark.parametrize("vendor, finish", [("openai", "tool_calls"), ("anthropic", "tool_use")])
def test_each_reaches_the_others_models(seen, vendor, finish):
    crossed = seen["crossed"][vendor]
    assert crossed["text"] == "You said: hello"
    assert crossed["whole"] == crossed["streamed"] == [[["get_weather", {"city": "sample"}]], finish]
    assert crossed.get("counted") != 0
