"""ASGI's lifespan, once for each process: startup before the first event, shutdown before the end.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ownkey.runtime.asgi import App, Message

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT_S = 2.0


class StartupFailed(Exception):
    """The app said so; the message is the last line of its own."""


class Lifespan:
    """Runs an app's lifespan. An app that has none is as good as one that does nothing in it."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._failure: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> dict[str, Any]:
        """Starts the app; what it leaves in its state goes into every request.

        Raises:
            StartupFailed: it could not start.
        """
        self._task = asyncio.create_task(self._run())
        self._messages.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failure is not None:
            raise StartupFailed(self._failure)
        return self.state

    async def shutdown(self) -> None:
        """Lets the app close what it opened, for at most 2 seconds."""
        if self._task is not None and not self._task.done():
            self._messages.put_nowait({"type": "lifespan.shutdown"})
            _, unfinished = await asyncio.wait((self._task,), timeout=_SHUTDOWN_TIMEOUT_S)
            if unfinished:
                logger.warning("the app's shutdown took too long")
                self._task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._send)
        except Exception as error:  # an app without a lifespan may raise whatever it likes
            level = logging.ERROR if self._failure is not None else logging.INFO
            logger.log(level, "the app's lifespan ended", exc_info=error)
        finally:
            self._started.set()

    async def _send(self, message: Message) -> None:
        if message["type"].endswith(".failed"):
            self._failure = (str(message.get("message", "")).strip().splitlines() or ["no reason given"])[-1]
        self._started.set()
