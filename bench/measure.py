"""The measuring: rounds over all targets in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.client import Answer, BadAnswer, Connection, Endpoint
from bench.figures import Figures, Measure
from bench.processes import cpu_times, cpu_used_s, resident_mb
from bench.spread import quantile
from bench.targets import BILLING, EMULATION, GATEWAY, OWNKEY, Target
from bench.vault import warm_open_us
from bench.workload import (
    AT_ONCE,
    CONCURRENCY,
    CROSSED_AT_ONCE,
    CROSSED_MODEL,
    FIRST_TOKEN,
    MODEL,
    PAUSE_S,
    WHOLE,
    Ask,
    Sizes,
    paced,
)

Say = Callable[[str], None]

_MEMORY_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """The answers to a batch of requests, the CPU that each group of processes used for all, and the time it took."""

    answers: Sequence[Answer]
    cpu_s: Mapping[str, float]
    took_s: float

    def cpu_ms(self, group: str) -> float | None:
        """CPU ms of a group for each request; None where there is no such group."""
        return self.cpu_s[group] * 1000 / len(self.answers) if group in self.cpu_s else None

    def end_ms(self, fraction: float) -> float:
        """The time within which that fraction of the answers was over."""
        return quantile([answer.end_ms for answer in self.answers], fraction)


class Bench:
    """Measures targets. `say` is told what is being done."""

    def __init__(self, targets: Sequence[Target], sizes: Sizes, say: Say) -> None:
        self.figures = Figures()
        self._targets = targets
        self._sizes = sizes
        self._say = say
        self._sent: Counter[str] = Counter()

    async def run(self) -> Figures:
        """Measures everything.

        Raises:
            BadAnswer: a target does not answer as it should.
            OSError, ProcessFailed: one is gone.
        """
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("warm-up", self._warm_up),
            ("whole answers, one at a time", self._whole),
            ("the registry's round trip", self._registry),
            ("the vault's warm open", self._vault),
            ("first tokens", self._first_tokens),
            ("2,000 chunks at once", self._at_once),
            ("paced streams", self._paced),
            ("eight at a time", self._concurrent),
            ("memory", self._memory),
            ("imports", self._imports),
            ("cold starts", self._cold_starts),
        ]
        for what, step in steps:
            self._say(what)
            await step()
        return self.figures

    async def _warm_up(self) -> None:
        """Every path before it counts; and the memory of a process that has answered one request."""
        for target in self._targets:
            await self._batch(target, WHOLE, 1)
            await self._add_memory(target, Measure.MEMORY_START_MB)
            for ask in (FIRST_TOKEN, AT_ONCE, CROSSED_AT_ONCE):
                await self._batch(target, ask, 3)
            # First to have as many processes as will be busy at once, then to have each of them serve.
            for _ in range(2):
                await self._batch(target, WHOLE, 5 * CONCURRENCY, concurrency=CONCURRENCY, pause_s=0)
            await self._batch(target, WHOLE, 20)

    async def _whole(self) -> None:
        for target in self._in_rounds(self._sizes.rounds):
            done = await self._batch(target, WHOLE, self._sizes.whole)
            self.figures.add(Measure.P50_MS, target.id, done.end_ms(0.5))
            self.figures.add(Measure.P95_MS, target.id, done.end_ms(0.95))
            self._add_cpu(Measure.CPU_MS, target, done, GATEWAY)
            self._add_cpu(Measure.CPU_BILLING_MS, target, done, BILLING)
            self._add_cpu(Measure.CPU_EMULATION_MS, target, done, EMULATION)

    async def _registry(self) -> None:
        """The read that a request begins with, sent by itself: the store's time, not the gateway's."""
        for target in self._in_rounds(self._sizes.rounds):
            if target.registry is None:
                continue
            endpoint, body = target.registry
            answers = await _ask_in_turn(endpoint, endpoint.request(body), self._sizes.whole, PAUSE_S)
            if any(answer.status != 200 for answer in answers):
                raise BadAnswer(f"the registry's read was refused: {answers[0].body[:300]!r}")
            self.figures.add(Measure.REGISTRY_MS, target.id, quantile([answer.end_ms for answer in answers], 0.5))

    async def _vault(self) -> None:
        """In this process: no other figure is fine enough to show it."""
        for target in self._in_rounds(self._sizes.rounds):
            if target.id == OWNKEY:
                for measure, value in (await warm_open_us()).items():
                    self.figures.add(measure, target.id, value)

    async def _first_tokens(self) -> None:
        for target in self._in_rounds(self._sizes.rounds):
            done = await self._batch(target, FIRST_TOKEN, self._sizes.streams)
            times_ms = [answer.first_event_ms for answer in done.answers if answer.first_event_ms is not None]
            self.figures.add(Measure.FIRST_EVENT_MS, target.id, quantile(times_ms, 0.5))

    async def _at_once(self) -> None:
        for target in self._in_rounds(self._sizes.rounds):
            for ask, measure in ((AT_ONCE, Measure.AT_ONCE_MS), (CROSSED_AT_ONCE, Measure.CROSSED_AT_ONCE_MS)):
                done = await self._batch(target, ask, self._sizes.at_once)
                self.figures.add(measure, target.id, done.end_ms(0.5))

    async def _paced(self) -> None:
        """CPU of a chunk: what a long stream uses more than one of a single chunk, by chunk."""
        passed_on = ((GATEWAY, Measure.CPU_CHUNK_US), (EMULATION, Measure.CPU_CHUNK_EMULATION_US))
        for target in self._in_rounds(self._sizes.paced_rounds):
            await self._add_paced(target, MODEL, passed_on)
            await self._add_paced(target, CROSSED_MODEL, ((GATEWAY, Measure.CPU_CROSSED_CHUNK_US),))

    async def _add_paced(self, target: Target, model: str, measures: Sequence[tuple[str, Measure]]) -> None:
        chunks = self._sizes.paced_chunks
        short = await self._batch(target, paced(1, model), 10)
        long = await self._batch(target, paced(chunks, model), 1)
        for group, measure in measures:
            base_ms, whole_ms = short.cpu_ms(group), long.cpu_ms(group)
            if base_ms is not None and whole_ms is not None:
                self.figures.add(measure, target.id, (whole_ms - base_ms) * 1000 / (chunks - 1))

    async def _concurrent(self) -> None:
        for target in self._in_rounds(self._sizes.rounds):
            done = await self._batch(target, WHOLE, self._sizes.concurrent, concurrency=CONCURRENCY, pause_s=0)
            self.figures.add(Measure.CONCURRENT_P50_MS, target.id, done.end_ms(0.5))
            self.figures.add(Measure.CONCURRENT_PER_S, target.id, len(done.answers) / done.took_s)
            self._add_cpu(Measure.CONCURRENT_CPU_MS, target, done, GATEWAY)

    async def _memory(self) -> None:
        """Memory after half and all of the requests, counted from the process's first."""
        for target in self._targets:
            if not target.remembers:
                continue
            for share, measure in ((2, Measure.MEMORY_HALF_MB), (1, Measure.MEMORY_END_MB)):
                while (missing := self._sizes.memory // share - (await self._busiest(target))[1]) > 0:
                    await self._batch(target, WHOLE, min(missing, _MEMORY_BATCH))
                await self._add_memory(target, measure)

    async def _imports(self) -> None:
        for target in self._in_rounds(self._sizes.imports):
            if target.import_ms is not None:
                self.figures.add(Measure.IMPORT_MS, target.id, await target.import_ms())

    async def _cold_starts(self) -> None:
        for target in self._in_rounds(self._sizes.cold_starts):
            if target.cold_start_ms is not None:
                self.figures.add(Measure.COLD_START_MS, target.id, await target.cold_start_ms())

    def _in_rounds(self, rounds: int) -> Iterable[Target]:
        """Every target, then every target again: what else the machine does meets all of them."""
        return (target for _ in range(rounds) for target in self._targets)

    async def _batch(
        self, target: Target, ask: Ask, count: int, *, concurrency: int = 1, pause_s: float = PAUSE_S
    ) -> Batch:
        """Asks `count` times over as many connections as are to be busy at once; every answer is checked.

        What follows the answers is waited for, and its CPU counted.
        """
        endpoint, request = target.endpoint, target.endpoint.request(ask.body())
        shares = [len(range(each, count, concurrency)) for each in range(concurrency)]
        loop = asyncio.get_running_loop()
        before, begun_s = await _cpu(target), loop.time()
        answers = await asyncio.gather(*(_ask_in_turn(endpoint, request, share, pause_s) for share in shares))
        took_s = loop.time() - begun_s
        await target.settle()
        after = await _cpu(target)
        flat = [answer for share in answers for answer in share]
        for answer in flat:
            ask.check(answer)
        self._sent[target.id] += count
        return Batch(flat, {group: cpu_used_s(before.get(group, {}), after[group]) for group in after}, took_s)

    def _add_cpu(self, measure: Measure, target: Target, done: Batch, group: str) -> None:
        if (cpu_ms := done.cpu_ms(group)) is not None:
            self.figures.add(measure, target.id, cpu_ms)

    async def _add_memory(self, target: Target, measure: Measure) -> None:
        if target.remembers:
            self.figures.add(measure, target.id, resident_mb((await self._busiest(target))[0]))

    async def _busiest(self, target: Target) -> tuple[int, int]:
        """The process that has served most requests, and how many."""
        if target.served is None:
            return (await target.processes())[GATEWAY][0], self._sent[target.id]
        return max((await target.served()).items(), key=lambda each: each[1])


async def _ask_in_turn(endpoint: Endpoint, request: bytes, count: int, pause_s: float) -> list[Answer]:
    answers = []
    async with await Connection.open(endpoint) as connection:
        for _ in range(count):
            answers.append(await connection.send(request))
            if pause_s:
                await asyncio.sleep(pause_s)
    return answers


async def _cpu(target: Target) -> Mapping[str, Mapping[int, float]]:
    return {group: cpu_times(pids) for group, pids in (await target.processes()).items()}
