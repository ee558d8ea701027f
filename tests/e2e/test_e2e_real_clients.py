"""Real clients, unmodified, against the running stack: each against every family that it can reach.

Each runs in a process of its own, from environments of their own that `make clients` sets up.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.accounts import Account
from tests.e2e.matrix_families import FAMILIES, Family
from tests.e2e.world import World

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "clients"
CLIENTS = ROOT / ".venv-clients" / "bin"
INSTRUCTOR = ROOT / ".venv-clients-instructor" / "bin"
AGENTS = HERE / "node" / "node_modules" / ".bin"
_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def accounts(world: World) -> dict[str, Account]:
    """One for each family, with its credential."""
    made = {}
    for family in FAMILIES:
        account = made[family.name] = world.account(platform_allowed=False)
        family.join(account, world)
    return made


@dataclass(frozen=True)
class Client:
    """A program and the surfaces that it speaks."""

    name: str
    command: tuple[str | Path, ...]
    surfaces: tuple[str, ...]


PROGRAMS = (
    Client("openai (Node)", (CLIENTS / "node", "node/openai.mjs"), ("chat", "responses")),
    Client("anthropic (Node)", (CLIENTS / "node", "node/anthropic.mjs"), ("messages",)),
    Client("LangChain", (CLIENTS / "python", "python/langchain_clients.py"), ("chat", "messages", "responses")),
    Client("Vercel AI SDK", (CLIENTS / "node", "node/vercel.mjs"), ("chat", "messages", "responses", "compatible")),
    Client("Pydantic AI", (CLIENTS / "python", "python/pydantic_ai_clients.py"), ("chat", "messages", "responses")),
    Client("OpenAI Agents SDK", (CLIENTS / "python", "python/agents_clients.py"), ("chat", "responses")),
    Client("instructor", (INSTRUCTOR / "python", "python/instructor_clients.py"), ("chat", "messages", "responses")),
)


def run(*command: str | Path, env: dict[str, str], cwd: Path = HERE) -> str:
    """What a program prints; its own words where it fails."""
    done = subprocess.run(
        list(map(str, command)),
        env={"PATH": f"{CLIENTS}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore", **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"
    return done.stdout


def environment(world: World, account: Account, family: Family, home: Path) -> dict[str, str]:
    """Where to ask, with what, whom."""
    return {
        "OWNKEY_URL": world.base_url,
        "OWNKEY_KEY": account.gateway_key,
        "OWNKEY_MODEL": family.model,
        "HOME": str(home),
    }


def check(said: dict[str, Any], family: Family) -> None:
    """The answer, the stream, the tool and the object, as far as the client has them."""
    assert said.get("whole", "You said: hello client") == "You said: hello client"
    assert said.get("stream", "You said: hello client") == "You said: hello client"
    assert said.get("tools", ["get_weather"]) == ["get_weather"]
    assert "21 degrees" in said.get("after", "21 degrees")
    assert said["schema"] == ["customer", "number"]
    assert said.get("input_tokens", 1) > 0


@pytest.mark.parametrize(
    ("client", "surface"),
    [(client, surface) for client in PROGRAMS for surface in client.surfaces],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_sdks_and_frameworks(
    client: Client,
    surface: str,
    world: World,
    accounts: dict[str, Account],
    tmp_path: Path,
    record_property: Any,
) -> None:
    """SDKs and frameworks: an answer, a stream, a tool's call and result, structured output."""
    refused = 0
    for family in FAMILIES:
        env = environment(world, accounts[family.name], family, tmp_path)
        try:
            *_, last = run(*client.command, surface, env=env).splitlines()
        except AssertionError as failed:
            # It asks for a schema and offers a tool at once, which not every API can be asked.
            if client.name != "instructor" or "unsupported_parameter" not in str(failed):
                raise
            refused += 1
        else:
            check(json.loads(last), family)
    record_property(f"{client.name}, {surface}: families", len(FAMILIES) - refused)
    assert refused <= len(FAMILIES) // 2


def test_llm(world: World, accounts: dict[str, Account], tmp_path: Path, record_property: Any) -> None:
    """The `llm` command: an answer, a stream, a tool that it runs, an object by schema."""
    tool = 'def get_weather(city: str) -> str:\n    "The weather"\n    return "21 degrees"\n'
    for family in FAMILIES:
        account = accounts[family.name]
        models = [
            f"- model_id: ownkey\n  model_name: {family.model}\n  api_base: {world.base_url}/v1\n",
            "  api_key_name: ownkey\n  supports_tools: true\n  supports_schema: true\n",
        ]
        (tmp_path / "extra-openai-models.yaml").write_text("".join(models))
        (tmp_path / "keys.json").write_text(json.dumps({"ownkey": account.gateway_key}))
        env = {"LLM_USER_PATH": str(tmp_path), "HOME": str(tmp_path)}
        llm = (CLIENTS / "llm", "-m", "ownkey")
        assert run(*llm, "hello client", env=env).strip() == "You said: hello client"
        assert run(*llm, "--no-stream", "hello client", env=env).strip() == "You said: hello client"
        invoice = json.loads(run(*llm, "--schema", "number int, customer", "the invoice", env=env))
        assert sorted(invoice) == ["customer", "number"]
        assert "21 degrees" in run(*llm, "--functions", tool, "use get_weather for Rome", env=env)
    record_property("llm: families", len(FAMILIES))


def test_claude_code(world: World, accounts: dict[str, Account], tmp_path: Path, record_property: Any) -> None:
    """Claude Code: a turn with its own tools, their results, and an end."""
    for family in FAMILIES:
        env = {
            "HOME": str(tmp_path),
            "ANTHROPIC_BASE_URL": world.base_url,
            "ANTHROPIC_AUTH_TOKEN": accounts[family.name].gateway_key,
            "ANTHROPIC_MODEL": family.model,
            "ANTHROPIC_SMALL_FAST_MODEL": family.model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        command = (AGENTS / "claude", "-p", "hello, use the tool Read", "--output-format", "json")
        done = json.loads(run(*command, env=env, cwd=work))
        assert done["is_error"] is False, done
        assert "You said:" in done["result"]
        assert done["num_turns"] > 1
    record_property("Claude Code: families", len(FAMILIES))


def test_codex(world: World, accounts: dict[str, Account], tmp_path: Path, record_property: Any) -> None:
    """Codex CLI: a turn by way of Responses, to its end."""
    for family in FAMILIES:  # it asks every model for encrypted reasoning, which OpenAI's others refuse
        config = [
            # A search of the web that the provider runs is offered by default: most have none, and it is refused.
            f'model = "{family.model_for(thinking=True)}"\nmodel_provider = "ownkey"\nweb_search = "disabled"\n',
            f'[model_providers.ownkey]\nname = "Ownkey"\nbase_url = "{world.base_url}/v1"\n',
            'env_key = "OWNKEY_KEY"\nwire_api = "responses"\n',
        ]
        (tmp_path / "config.toml").write_text("".join(config))
        env = {
            "HOME": str(tmp_path),
            "CODEX_HOME": str(tmp_path),
            "OWNKEY_KEY": accounts[family.name].gateway_key,
        }
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        said = run(AGENTS / "codex", "exec", "--skip-git-repo-check", "hello agent", env=env, cwd=work)
        assert "You said:" in said
    record_property("Codex CLI: families", len(FAMILIES))
