"""The report: Markdown, from figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bench import vault
from bench.figures import Figures, Measure
from bench.goals import GOALS, own_added
from bench.machine import Machine, revision
from bench.spread import Spread
from bench.targets import BARE, DIRECT, LITELLM, OWNKEY, Target
from bench.workload import AT_ONCE_CHUNKS, CONCURRENCY, PACE_MS, PAUSE_S, Sizes

Reading = Callable[[Figures, str], Spread | None]


@dataclass(frozen=True, slots=True)
class Run:
    """All that the report tells."""

    machine: Machine
    targets: Sequence[Target]
    sizes: Sizes
    figures: Figures
    at: datetime
    took_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    title: str
    reading: Reading


def _measured(measure: Measure) -> Reading:
    return lambda figures, target_id: figures.of(measure, target_id)


def _added(measure: Measure) -> Reading:
    """More than direct; direct itself adds nothing."""
    return lambda figures, target_id: None if target_id == DIRECT else figures.added(measure, target_id, DIRECT)


TABLES: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Whole answers, one request at a time",
        (
            Row("CPU of a request, ms", _measured(Measure.CPU_MS)),
            Row("p50, ms", _measured(Measure.P50_MS)),
            Row("p50 added, ms", _added(Measure.P50_MS)),
            Row("p95, ms", _measured(Measure.P95_MS)),
            Row("p95 added, ms", _added(Measure.P95_MS)),
        ),
    ),
    (
        "Streams",
        (
            Row("First token, p50, ms", _measured(Measure.FIRST_EVENT_MS)),
            Row("First token added, p50, ms", _added(Measure.FIRST_EVENT_MS)),
            Row(f"{AT_ONCE_CHUNKS:,} chunks sent at once, ms", _measured(Measure.AT_ONCE_MS)),
            Row(f"CPU of a chunk, one each {PACE_MS} ms, µs", _measured(Measure.CPU_CHUNK_US)),
            Row(f"{AT_ONCE_CHUNKS:,} chunks at once, translated, ms", _measured(Measure.CROSSED_AT_ONCE_MS)),
            Row("CPU of a paced chunk, translated, µs", _measured(Measure.CPU_CROSSED_CHUNK_US)),
        ),
    ),
    (
        f"Whole answers, {CONCURRENCY} requests at a time",
        (
            Row("CPU of a request, ms", _measured(Measure.CONCURRENT_CPU_MS)),
            Row("p50, ms", _measured(Measure.CONCURRENT_P50_MS)),
            Row("Requests a second", _measured(Measure.CONCURRENT_PER_S)),
        ),
    ),
    (
        "Starting, and memory of one process",
        (
            Row("Process start to first proxied byte, ms", _measured(Measure.COLD_START_MS)),
            Row("Imports alone, ms", _measured(Measure.IMPORT_MS)),
            Row("Resident after 1 request, MiB", _measured(Measure.MEMORY_START_MB)),
            Row("Resident after half of its requests, MiB", _measured(Measure.MEMORY_HALF_MB)),
            Row("Resident after all of its requests, MiB", _measured(Measure.MEMORY_END_MB)),
        ),
    ),
)

_ASIDE = (
    ("CPU of the billing function for a request, ms; the product's, billed by AWS", Measure.CPU_BILLING_MS, OWNKEY),
    ("CPU of the processes that stand for AWS, for a request, ms; not the product", Measure.CPU_EMULATION_MS, OWNKEY),
    ("The same for a paced chunk, µs", Measure.CPU_CHUNK_EMULATION_US, OWNKEY),
    ("The registry's round trip alone, ms", Measure.REGISTRY_MS, OWNKEY),
    *((title, measure, OWNKEY) for measure, title in vault.TITLES.items()),
)


def render(run: Run) -> str:
    """The whole page."""
    return "\n".join([*_head(run), *_goals(run), *_tables(run), *_aside(run), *_method(run)]).rstrip() + "\n"


def _head(run: Run) -> Iterable[str]:
    machine, commit = run.machine, revision()
    peers = ", ".join(f"{target.title} {target.version}" for target in run.targets if target.version)
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    yield "# What the gateway costs"
    yield ""
    yield "Written by `make bench`; edit `bench/`, not this page."
    yield ""
    yield f"- {run.at:%Y-%m-%d}{f', commit {commit}' if commit else ''}; the run took {run.took_s / 60:.0f} minutes."
    yield (
        f"- {machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB, {machine.system}, "
        f"Python {machine.python}, all on loopback. Load before the run: {machine.load:.1f}."
    )
    yield f"- {f'{peers}; ' if peers else ''}Ownkey with {packages}."
    yield ""


def _goals(run: Run) -> Iterable[str]:
    yield from ("## Goals", "", "| | goal | measured | |", "|---|---|---|---|")
    for goal in GOALS:
        value, verdict = goal.verdict(run.figures)
        measured = "–" if value is None else f"{_number(value)} {goal.unit}"
        yield f"| {goal.title} | ≤ {_number(goal.ceiling)} {goal.unit} | {measured} | {verdict} |"
    yield ""
    yield (
        "Added times and the chunks at once are Ownkey's own: without what the processes that stand for AWS on this "
        "machine add, which is what the last column of the tables shows."
    )
    yield ""


def _tables(run: Run) -> Iterable[str]:
    titles = [f"{target.title} {target.version}".strip() for target in _columns(run)]
    compared = {LITELLM, OWNKEY} <= {target.id for target in run.targets}
    for title, rows in TABLES:
        yield from (f"## {title}", "")
        yield _line(["", *titles, *(["Ownkey ÷ LiteLLM"] if compared else [])])
        yield "|---" * (len(titles) + 1 + compared) + "|"
        for row in rows:
            spreads = {target.id: row.reading(run.figures, target.id) for target in _columns(run)}
            cells = [_spread(spread) for spread in spreads.values()]
            yield _line([row.title, *cells, *([_ratio(spreads[OWNKEY], spreads[LITELLM])] if compared else [])])
        yield ""


def _columns(run: Run) -> list[Target]:
    """The bare relay last: it is no gateway, but what the others' figures are to be read with."""
    return sorted(run.targets, key=lambda target: (DIRECT, LITELLM, OWNKEY, BARE).index(target.id))


def _aside(run: Run) -> Iterable[str]:
    lines = [(title, run.figures.of(measure, target_id)) for title, measure, target_id in _ASIDE]
    own = [
        ("Added to a whole answer beyond the stack and that round trip, p50, ms", own_added(Measure.P50_MS)),
        ("Added to the first token likewise, ms", own_added(Measure.FIRST_EVENT_MS)),
    ]
    known = [(title, _spread(spread)) for title, spread in lines if spread]
    known += [(title, _number(value)) for title, reading in own if (value := reading(run.figures)) is not None]
    if known:
        yield from ("## What Ownkey's figures are made of", "", "| | |", "|---|---|")
        yield from (_line([title, cell]) for title, cell in known)
        yield ""


def _method(run: Run) -> Iterable[str]:
    sizes = run.sizes
    yield from ("## How it was measured", "")
    yield (
        f"Medians of {sizes.rounds} rounds, in brackets the quartiles of the rounds; a round is {sizes.whole} whole "
        f"answers, {sizes.streams} short streams, {sizes.at_once} streams of {AT_ONCE_CHUNKS:,} chunks, and "
        f"{sizes.concurrent} whole answers {CONCURRENCY} at a time, of each target in turn. Paced streams: "
        f"{sizes.paced_rounds} of {sizes.paced_chunks:,} chunks; cold starts: {sizes.cold_starts}; imports: "
        f"{sizes.imports}, each in a fresh process with compiled bytecode; memory: after {sizes.memory:,} requests of "
        f"one process. Every path is warmed up first, every answer checked. Added times are differences within a round."
    )
    yield ""
    yield (
        "- **The request** is one chat completion with a prompt of about 150 tokens. The client is raw asyncio, the "
        "upstream answers from memory; both are the same for all. Translated: the gateways ask the upstream for "
        "Anthropic's messages, and make chat completions of what it streams; direct and bare relay have nothing to "
        "translate, and show the same chunks as chat completions."
    )
    yield (
        f"- **One at a time** leaves {PAUSE_S * 1000:.0f} ms between requests, for all alike: what a gateway does "
        "after its answer is counted in its CPU, and does not meet the next request on this machine's few cores."
    )
    yield (
        "- **CPU** is user and system time of the gateway's own processes, the work after the answer included. For "
        "Ownkey these are the inference function's environments, which is what AWS bills."
    )
    yield (
        "- **The vault's** is CPU of one thread in the bench's own process, with the data key cached; its parts are "
        "measured each by itself."
    )
    yield (
        "- **Ownkey** does all of its work: authentication against strongly consistent reads, vault, plan, attempt "
        "record, billing. **LiteLLM** has a master key and one model in its configuration, no database: it stores no "
        "keys and bills nothing. Its log is set to errors, its price table to the local copy; Ownkey logs at INFO."
    )
    yield (
        "- **Cold start** for LiteLLM is from the command to its first proxied byte; for Ownkey from the request that "
        "starts an environment. Neither counts what AWS adds to a start."
    )
    yield (
        "- **Local stack, bare relay** is the same local stack with a function that does nothing but hand bytes "
        "through with blocking sockets: the cost of emulating API Gateway and Lambda here, and of one hop."
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    if spread.count == 1:
        return _number(spread.median)
    return f"{_number(spread.median)} [{_number(spread.low)}–{_number(spread.high)}]"


def _ratio(own: Spread | None, peer: Spread | None) -> str:
    ratio = own.over(peer) if own and peer else None
    return "–" if ratio is None else f"{_number(ratio)}"


def _number(value: float) -> str:
    """Three significant digits or so: no more is known."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
