"""The local stack in a process of its own, steered by lines: `python -m bench.stack_child <options as JSON>`.

Options: `upstream` (origin), `logs` (folder), `bare` (relay only instead of the inference function). The first line
printed is what the stack is; then each line read is a command, and answered by one of JSON:

| command     | does |
|-------------|------|
| `processes` | nothing; answers process ids by function |
| `settle`    | waits for environments that start, for work behind the answers, and for the stream's |
| `clear`     | ends the inference function's environments: the next request is a cold start |
| `served`    | nothing; answers how many requests each inference process has had |

The end of its input ends it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bench.targets import UPSTREAM_KEY
from local.running import Running, RunOptions, running
from local.seed import Seed, SeedAccount, SeedCredential, SeedGatewayKey
from ownkey.domain.gateway_keys import digest_of
from ownkey.store import keys

_ACCOUNT = _ALIAS = "bench"
_STEP_S = 0.01
_FUNCTION = "InferenceFunction"
_BARE = Path(__file__).with_name("bare_function.py")
_STARTED = re.compile(rf"^\S+ ({_FUNCTION}-\d+) \| START ", re.MULTILINE)


async def main() -> None:
    """Runs the stack until the input ends."""
    options = json.loads(sys.argv[1])
    async with running(_run_options(options)) as up:
        commands: dict[str, Callable[[], Awaitable[Any]]] = {
            "processes": lambda: _processes(up),
            "settle": lambda: _settle(up),
            "clear": lambda: _clear(up),
            "served": lambda: _served(up),
        }
        _say(_about(up))
        lines = await _lines()
        while line := (await lines.readline()).decode().strip():
            _say(await commands[line]())


def _run_options(options: dict[str, Any]) -> RunOptions:
    stack: dict[str, Any] = {"log_directory": Path(options["logs"]), "schedules": False}
    if options["bare"]:
        stack |= {
            "bootstrap": (str(_BARE),),
            "environment": {"BARE_UPSTREAM": options["upstream"].removeprefix("http://")},
        }
    return RunOptions(seed=_seed(options["upstream"]), stack=stack)


def _seed(upstream: str) -> Seed:
    """An account whose own key leads to the upstream."""
    credentials = [
        SeedCredential(provider=name, secret=SecretStr(UPSTREAM_KEY), base_url=f"{upstream}/v1")
        for name in ("OpenAI", "Anthropic")
    ]
    account = SeedAccount(id=_ACCOUNT, gateway_keys=[SeedGatewayKey(alias=_ALIAS)], credentials=credentials)
    return Seed(accounts=[account])


def _about(up: Running) -> dict[str, Any]:
    """Where the stack is, and the read with which its inference function begins every request."""
    key = up.state.gateway_keys[_ACCOUNT][_ALIAS]
    wanted = [
        (keys.gateway_key(digest_of(key)), keys.GATEWAY_KEY_SK),
        *((keys.account(account_id), keys.HEAD) for account_id in (_ACCOUNT, "platform")),
    ]
    read = {"Keys": [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in wanted], "ConsistentRead": True}
    return {
        "base_url": up.state.base_url,
        "gateway_key": key,
        "aws_endpoint": up.state.aws_endpoint,
        "access_key": up.stack.deployment.functions[_FUNCTION].access_key,
        "region": up.stack.options.region,
        "registry_read": {"RequestItems": {up.stack.resources["RegistryTable"]: read}},
    }


async def _processes(up: Running) -> dict[str, list[int]]:
    return {
        function_id: [each.pid for each in up.stack.environments(function_id) if each.pid is not None]
        for function_id in up.stack.deployment.functions
    }


async def _settle(up: Running) -> None:
    while not all(each.was_ready for each in up.stack.environments(_FUNCTION)):
        await asyncio.sleep(_STEP_S)
    await up.stack.drain_stream()


async def _clear(up: Running) -> None:
    up.stack.kill(_FUNCTION)
    while up.stack.environments(_FUNCTION):
        await asyncio.sleep(_STEP_S)


async def _served(up: Running) -> dict[int, int]:
    counts = Counter(_STARTED.findall(up.stack.log(_FUNCTION)))
    return {each.pid: counts[each.id] for each in up.stack.environments(_FUNCTION) if each.pid is not None}


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
