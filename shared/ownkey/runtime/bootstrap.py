"""What the managed runtime starts in place of its own loop: `python -m ownkey.runtime.bootstrap`.

Reads `AWS_LAMBDA_RUNTIME_API`, `_HANDLER` (`handler.app`: module and ASGI app), `LAMBDA_TASK_ROOT`, and
`AWS_LAMBDA_INITIALIZATION_TYPE`. The handler's module may also have an `error_response(scope, error)`, see
`loop.ErrorHook`.

The order: import the app, say so and wait for the restore (SnapStart), run the app's startup, serve. So whatever must
not be in a snapshot, such as connections, belongs in the app's lifespan.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
import signal
import sys
from collections.abc import Mapping
from typing import NamedTuple

from ownkey.domain.scrub import scrub
from ownkey.runtime import logs
from ownkey.runtime.api import RuntimeApi, RuntimeApiError
from ownkey.runtime.asgi import App
from ownkey.runtime.lifespan import Lifespan
from ownkey.runtime.loop import ErrorHook, Loop, default_error_response
from ownkey.runtime.response import FunctionError

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1


class Handler(NamedTuple):
    """What the function's module gives."""

    app: App
    error_response: ErrorHook


def load_handler(name: str, task_root: str) -> Handler:
    """Imports `module.app` from the function's directory.

    Raises:
        Exception: whatever the import raises; ImportError or AttributeError where there is no such thing.
    """
    module_name, _, app_name = name.rpartition(".")
    if not module_name:
        raise ImportError(f"_HANDLER must be module.app, not {name!r}")
    if task_root not in sys.path:
        sys.path.insert(0, task_root)
    module = importlib.import_module(module_name.replace("/", "."))
    return Handler(getattr(module, app_name), getattr(module, "error_response", default_error_response))


async def run(env: Mapping[str, str]) -> int:
    """Serves until the process is told to end (SIGTERM) or there is nothing to serve; returns the exit status."""
    api = RuntimeApi(env["AWS_LAMBDA_RUNTIME_API"])
    _cancel_on_sigterm()
    try:
        return await _init_and_serve(api, env)
    except RuntimeApiError as error:
        return _failed("the Runtime API failed", error)
    except asyncio.CancelledError:
        return OK
    finally:
        api.close()


async def _init_and_serve(api: RuntimeApi, env: Mapping[str, str]) -> int:
    report = api.report_init_error
    try:
        logs.configure(env.get("POWERTOOLS_SERVICE_NAME", "ownkey"), env.get("LOG_LEVEL", "INFO"))
        handler = load_handler(env["_HANDLER"], env["LAMBDA_TASK_ROOT"])
        if env.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            await api.restore()
            report = api.report_restore_error
            random.seed()  # or every environment restored from the snapshot would draw the same numbers
        lifespan = Lifespan(handler.app)
        state = await lifespan.startup()
    except RuntimeApiError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, init has failed
        # The operator reads this; a client is answered by API Gateway with its own 502.
        await report(FunctionError("Runtime.InitFailed", scrub(f"{type(error).__name__}: {error}")))
        return _failed("init failed", error)
    try:
        await Loop(handler.app, api, error_response=handler.error_response, state=state).run()
    finally:
        await lifespan.shutdown()


def _cancel_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _failed(what: str, error: BaseException) -> int:
    logger.critical(what, exc_info=error)
    return FAILED


if __name__ == "__main__":
    sys.exit(asyncio.run(run(os.environ)))
