"""`make run`: everything up on this machine, the main job once before your eyes, then served until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.demo import DemoFailed, DemoProvider, show
from local.running import DEMO_ACCOUNT, DEMO_ALIAS, STATE_FILE, RunOptions, State, demo_seed, running
from local.seed import Seed, SeedError
from local.stack import end_on_sigterm

# What a user who exports a key of theirs gets: the real provider, asked for one of its small models.
_REAL = {
    "OPENAI_API_KEY": ("openai", "OpenAI", "gpt-4o-mini"),
    "ANTHROPIC_API_KEY": ("anthropic", "Anthropic", "claude-haiku-4-5"),
}
_SIMULATED = DemoProvider("OpenAI", "gpt-4o-mini", "sk-sim-this-key-opens-nothing-at-all-0001")


def main() -> int:
    """The command; its exit status tells whether the main job worked."""
    arguments = _arguments()
    try:
        return asyncio.run(_run(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stdout.write("\nStopped.\n")
        return 0
    except (SeedError, ValueError, OSError) as e:
        sys.stderr.write(f"ownkey: {e}\n")
        return 2


async def _run(arguments: argparse.Namespace) -> int:
    end_on_sigterm()
    upstreams = _upstreams(arguments.upstreams)
    seed = demo_seed()
    if arguments.seed:
        given = Seed.read(arguments.seed)
        demo = [] if any(account.id == DEMO_ACCOUNT for account in given.accounts) else seed.accounts
        seed = given.model_copy(update={"accounts": [*demo, *given.accounts]})
    real = {provider for variable, (provider, _, _) in _REAL.items() if os.environ.get(variable)}
    options = RunOptions(
        seed=seed,
        upstreams=upstreams,
        real=frozenset(real - set(upstreams)),
        state_file=STATE_FILE,
        stack={"port": arguments.port, "log_level": arguments.log_level},
    )
    sys.stdout.write("Ownkey, local stack: AWS by moto, providers simulated, functions as on Lambda\n")
    async with running(options) as up:
        status = await _main_job(up.state, options) if not arguments.seed else 0
        _how_to_reach(up.state)
        if arguments.once:
            return status
        sys.stdout.write("\nServing; Ctrl-C ends it.\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    return status


async def _main_job(state: State, options: RunOptions) -> int:
    try:
        await show(state, _demo_provider(options))
    except DemoFailed as e:
        sys.stderr.write(f"\nThe main job failed: {e}\n")
        return 1
    return 0


def _demo_provider(options: RunOptions) -> DemoProvider:
    """OpenAI's real endpoint where its key is exported, else the simulated one."""
    provider, name, model = _REAL["OPENAI_API_KEY"]
    if provider in options.real:
        return DemoProvider(name, model, os.environ["OPENAI_API_KEY"])
    return _SIMULATED


def _how_to_reach(state: State) -> None:
    account, keys = next(iter(state.gateway_keys.items()), (DEMO_ACCOUNT, {}))
    key = keys.get(DEMO_ALIAS) or next(iter(keys.values()), "")
    body = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
    sys.stdout.write(
        f"\nEndpoint      {state.base_url}/v1   (Anthropic clients: {state.base_url})\n"
        f"Management    {state.management_url}/api\n"
        f"Gateway key   {key}   (account {account})\n"
        f"Everything    {STATE_FILE}: keys and session tokens\n\n"
        f"curl -N {state.base_url}/v1/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'\n"
    )
    sys.stdout.flush()


def _upstreams(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    upstreams = json.loads(path.read_text())
    if not isinstance(upstreams, dict):
        raise ValueError(f"{path}: not a JSON object of provider id -> base URL")
    return upstreams


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run ARGS=...", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the main job; the exit status tells")
    parser.add_argument("--port", type=int, default=8787, help="of the endpoint (default 8787; 0: any free one)")
    parser.add_argument("--seed", type=Path, help="JSON of accounts, users, gateway keys and credentials")
    parser.add_argument("--upstreams", type=Path, help="JSON: provider id -> base URL, or an object of endpoints")
    parser.add_argument("--log-level", choices=("DEBUG", "INFO", "WARNING"), help="of the functions")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
