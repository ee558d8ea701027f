"""Lambda: functions and their environments, scaled out on demand and used again."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from local.deployment import Function, function_name
from local.environments import Environment, Launch
from local.invocation import Answer, Collected, FunctionError, Invocation, Throttled, new_trace_id
from local.logs import FunctionLog

_STOPPING = FunctionError.of("Runtime.Stopped", "The local stack is stopping.")
# An environment that has answered mostly asks for more in a moment: worth waiting for before another is started.
_FINISHING_S = 0.05
_log = logging.getLogger(__name__)


class StartFailed(Exception):
    """A part of the stack does not start; the message says which, and where to look."""


class FunctionPool:
    """The environments of one function.

    As on Lambda an environment works on one invocation at a time; of those that wait, the one that worked last works
    next; and a new one is started when all are busy. `warm` environments are kept from the start, and replaced when
    they die. `limit` is the function's concurrency.
    """

    def __init__(self, function: Function, launch: Launch, log: FunctionLog, *, warm: int, limit: int) -> None:
        self.function = function
        self.log = log
        self._launch = launch
        self._warm = warm
        self._limit = limit
        self._environments: dict[str, Environment] = {}
        self._idle: list[Environment] = []
        self._pending: deque[Invocation] = deque()
        self._starts: set[asyncio.Task[None]] = set()
        self._all_warm = asyncio.Event()
        self._stopped = False

    @property
    def environments(self) -> list[Environment]:
        """Those that run or start, oldest first."""
        return list(self._environments.values())

    async def start(self) -> None:
        """Starts the warm environments and waits until their code is loaded.

        Raises:
            StartFailed: one of them could not load it.
        """
        if not self._warm:
            return
        for _ in range(self._warm):
            self._add()
        await self._all_warm.wait()
        if len(self._idle) < self._warm:
            raise StartFailed(f"{self.function.id} does not start; see {self.log.path}")

    def invoke(self, invocation: Invocation) -> None:
        """Runs the invocation; its answer says how it went.

        Raises:
            Throttled: as many environments as there may be are busy.
        """
        if self._idle:
            self._idle.pop().run(invocation)
            return
        working = sum(environment.invocation is not None for environment in self._environments.values())
        if working + len(self._pending) >= self._limit:
            raise Throttled(self.function.name)
        self._pending.append(invocation)
        if any(environment.finishing for environment in self._environments.values()):
            asyncio.get_running_loop().call_later(_FINISHING_S, self._scale_out_for, invocation)
        else:
            self._scale_out()

    def kill(self) -> None:
        """SIGKILL to every environment."""
        for environment in self.environments:
            environment.kill()

    async def stop(self) -> None:
        """Ends every environment."""
        self._stopped = True
        await asyncio.gather(*self._starts, return_exceptions=True)
        await asyncio.gather(*(environment.stop() for environment in self.environments))
        self.log.close()

    # From environments.
    def ready(self, environment: Environment) -> None:
        """It waits for work."""
        if self._pending:
            environment.run(self._pending.popleft())
            return
        self._idle.append(environment)
        if len(self._idle) >= self._warm:
            self._all_warm.set()

    def unfit(self, environment: Environment) -> None:
        """It is about to end: no more work for it."""
        if environment in self._idle:
            self._idle.remove(environment)

    def ended(self, environment: Environment, error: FunctionError) -> None:
        """It is gone: what it worked on has failed, and who waited for it alone has failed too."""
        self._environments.pop(environment.id, None)
        self.unfit(environment)
        if self._stopped:
            error = _STOPPING
        else:
            _log.warning("%s ended: %s", environment.id, error.payload.decode(errors="replace"))
        if environment.invocation is not None:
            environment.invocation.answer.failed(error)
        elif not environment.was_ready:
            self._all_warm.set()
            if self._pending:
                self._pending.popleft().answer.failed(error)
        self._replace(environment)

    def _replace(self, environment: Environment) -> None:
        if self._stopped:
            while self._pending:
                self._pending.popleft().answer.failed(_STOPPING)
            return
        # One that never loaded its code would not the next time either: it is tried again when it is asked for.
        if environment.was_ready:
            for _ in range(self._warm - len(self._environments)):
                self._add()
        self._scale_out()

    def _scale_out_for(self, invocation: Invocation) -> None:
        if invocation in self._pending:
            self._scale_out()

    def _scale_out(self) -> None:
        """Starts as many environments as there are invocations that none is being started for."""
        starting = sum(not environment.was_ready for environment in self._environments.values())
        for _ in range(min(len(self._pending) - starting, self._limit - len(self._environments))):
            self._add()

    def _add(self) -> None:
        environment = Environment(self.function, self._launch, self.log, self)
        self._environments[environment.id] = environment
        task = asyncio.ensure_future(environment.start())
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)


class Functions:
    """All functions, by logical id, name or ARN."""

    def __init__(self) -> None:
        self._pools: dict[str, FunctionPool] = {}
        self._by_name: dict[str, FunctionPool] = {}

    def add(self, pool: FunctionPool) -> None:
        """Adds a function, before `start`."""
        self._pools[pool.function.id] = self._by_name[pool.function.name] = pool

    @property
    def any_finishing(self) -> bool:
        """Whether an environment is still at work after its answer."""
        return any(environment.finishing for pool in self._pools.values() for environment in pool.environments)

    def pool(self, name: str) -> FunctionPool:
        """The function's pool.

        Raises:
            KeyError: there is no such function.
        """
        return self._pools.get(name) or self._by_name[function_name(name)]

    def start_invocation(self, name: str, payload: bytes, answer: Answer, *, trace_id: str | None = None) -> Invocation:
        """Invokes the function; its answer goes to `answer`.

        Raises:
            KeyError: there is no such function.
            Throttled: it may have no further environment.
        """
        pool = self.pool(name)
        invocation = Invocation(payload, answer, pool.function.arn, trace_id=trace_id or new_trace_id())
        pool.invoke(invocation)
        return invocation

    async def invoke(self, name: str, payload: bytes) -> bytes | FunctionError:
        """Invokes the function and waits for its answer.

        Raises:
            KeyError: there is no such function.
            Throttled: it may have no further environment.
        """
        answer = Collected()
        self.start_invocation(name, payload, answer)
        return await answer.done

    async def start(self) -> None:
        """Starts what is to be warm."""
        await asyncio.gather(*(pool.start() for pool in self._pools.values()))

    async def stop(self) -> None:
        """Ends all environments."""
        await asyncio.gather(*(pool.stop() for pool in self._pools.values()))
