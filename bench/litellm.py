"""The peer: LiteLLM's proxy, from a locked installation of its own, set up as its documents advise for production.

One model, a master key, no database, no callbacks: it stores no keys and bills nothing.
https://docs.litellm.ai/docs/proxy/prod
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.client import Answer, Connection, Endpoint
from bench.processes import ProcessFailed, family, started
from bench.targets import GATEWAY, LITELLM, ROOT, UPSTREAM_KEY, Target, child_environment, completions, import_time_ms
from bench.workload import CROSSED_MODEL, MODEL, WHOLE

_HOME = ROOT / ".venv-bench-litellm"
_PYTHON = _HOME / "bin" / "python"
_LOCK = ROOT / "requirements" / "bench-litellm.txt"
_MASTER_KEY = "sk-bench-master-0001"
_START_S = 120.0
_POLL_S = 0.005
_VERSION = "import importlib.metadata as m; print(m.version('litellm'))"

_CONFIG = f"""\
model_list:
  - model_name: {MODEL}
    litellm_params:
      model: openai/{MODEL}
      api_base: %(upstream)s/v1
      api_key: {UPSTREAM_KEY}
  - model_name: {CROSSED_MODEL}
    litellm_params:
      model: anthropic/{CROSSED_MODEL}
      api_base: %(upstream)s
      api_key: {UPSTREAM_KEY}
litellm_settings:
  set_verbose: false
  telemetry: false
general_settings:
  master_key: {_MASTER_KEY}
"""
_SETTINGS = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # Its table of prices, otherwise fetched from the network at every start.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def install() -> None:
    """Installs what the lock names into an environment of its own, unless that is done already.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    wanted = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()
    mark = _HOME / "installed"
    if mark.exists() and mark.read_text() == wanted:
        return
    sys.stderr.write(f"Installing {_LOCK.name} into {_HOME.name}\n")
    venv.create(_HOME, clear=True, with_pip=True)
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(_LOCK)], check=True)
    mark.write_text(wanted)


@asynccontextmanager
async def litellm(upstream: Target, logs: Path) -> AsyncIterator[Target]:
    """The proxy in front of the upstream; installs it first.

    Raises:
        ProcessFailed: it does not start.
    """
    await asyncio.to_thread(install)
    config = logs / "litellm.yaml"
    config.write_text(_CONFIG % {"upstream": f"http://{upstream.endpoint.host}:{upstream.endpoint.port}"})
    version = subprocess.check_output([str(_PYTHON), "-c", _VERSION], text=True)
    environment = _environment()
    log = logs / "litellm.log"

    async def cold_start_ms() -> float:
        async with AsyncExitStack() as ends:
            return (await _start(config, log, ends))[1]

    async def import_ms() -> float:
        return await import_time_ms(_PYTHON, "import litellm.proxy.proxy_server", environment, log)

    async with AsyncExitStack() as ends:
        (process, endpoint), _ = await _start(config, log, ends)

        async def processes() -> Mapping[str, list[int]]:
            return {GATEWAY: family(process.pid)}

        yield Target(
            LITELLM,
            "LiteLLM",
            endpoint,
            version=version.strip(),
            processes=processes,
            cold_start_ms=cold_start_ms,
            import_ms=import_ms,
            remembers=True,
        )


async def _start(
    config: Path, log: Path, ends: AsyncExitStack
) -> tuple[tuple[asyncio.subprocess.Process, Endpoint], float]:
    """Starts a proxy that `ends` ends; milliseconds until the first byte of its first proxied answer."""
    port = _free_port()
    endpoint = completions(f"http://127.0.0.1:{port}", _MASTER_KEY)
    command = [str(_HOME / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    begun = time.perf_counter()
    child = started(command, cwd=config.parent, environment=_environment(), log=log, talks=False)
    process = await ends.enter_async_context(child)
    while time.perf_counter() < begun + _START_S:
        if process.returncode is not None:
            raise ProcessFailed(f"LiteLLM does not start: {log.read_text()[-2000:]}")
        answer = await _try(endpoint)
        if answer is not None and answer.status == 200:
            WHOLE.check(answer)
            whole_ms = (time.perf_counter() - begun) * 1000
            return (process, endpoint), whole_ms - (answer.end_ms - answer.first_byte_ms)
        await asyncio.sleep(_POLL_S)
    raise ProcessFailed(f"LiteLLM does not answer within {_START_S:.0f} s: {log.read_text()[-2000:]}")


async def _try(endpoint: Endpoint) -> Answer | None:
    try:
        async with await Connection.open(endpoint) as connection:
            return await connection.send(endpoint.request(WHOLE.body()))
    except OSError:
        return None


def _environment() -> dict[str, str]:
    """Not this project's packages: the peer has its own."""
    environment = {name: value for name, value in child_environment().items() if name != "PYTHONPATH"}
    return environment | _SETTINGS | {"PATH": f"{_HOME / 'bin'}{os.pathsep}{environment.get('PATH', '')}"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
