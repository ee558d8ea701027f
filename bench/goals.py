"""The numbers to reach, and what was measured of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import Figures, Measure
from bench.targets import BARE, DIRECT, LITELLM, OWNKEY

Reading = Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """A ceiling for a reading."""

    title: str
    unit: str
    ceiling: float
    reading: Reading

    def verdict(self, figures: Figures) -> tuple[float | None, str]:
        """The figure, and whether it is met, not met or not measured."""
        value = self.reading(figures)
        if value is None:
            return None, "not measured"
        return value, "met" if value <= self.ceiling else "**not met**"


def _of(measure: Measure) -> Reading:
    def read(figures: Figures) -> float | None:
        spread = figures.of(measure, OWNKEY)
        return spread.median if spread else None

    return read


def _share_of_peer(measure: Measure) -> Reading:
    def read(figures: Figures) -> float | None:
        own, peer = figures.of(measure, OWNKEY), figures.of(measure, LITELLM)
        return own.over(peer) if own and peer else None

    return read


def own_added(measure: Measure) -> Reading:
    """What Ownkey adds itself: beyond the stack that stands for AWS here, and beyond the registry's round trip."""

    def read(figures: Figures) -> float | None:
        added, registry = figures.added(measure, OWNKEY, BARE), figures.of(Measure.REGISTRY_MS, OWNKEY)
        return added.median - registry.median if added and registry else None

    return read


def at_once(measure: Measure) -> Reading:
    """2,000 chunks without what the stack that stands for AWS here adds to them."""

    def read(figures: Figures) -> float | None:
        added, direct = figures.added(measure, OWNKEY, BARE), figures.of(measure, DIRECT)
        return added.median + direct.median if added and direct else None

    return read


GOALS = (
    Goal("CPU of a whole answer", "ms", 2.5, _of(Measure.CPU_MS)),
    Goal("CPU of a whole answer, as a share of LiteLLM's", "×", 1 / 6, _share_of_peer(Measure.CPU_MS)),
    Goal("Added to a whole answer, p50, beyond the registry's round trip", "ms", 3, own_added(Measure.P50_MS)),
    Goal("Added to the first token, p50, beyond the registry's round trip", "ms", 3, own_added(Measure.FIRST_EVENT_MS)),
    Goal("CPU of the vault for a warm request", "µs", 50, _of(Measure.VAULT_OPEN_US)),
    Goal("CPU of a streamed chunk, paced, passed through", "µs", 80, _of(Measure.CPU_CHUNK_US)),
    Goal("CPU of a streamed chunk, paced, translated between dialects", "µs", 150, _of(Measure.CPU_CROSSED_CHUNK_US)),
    Goal("2,000 chunks at once, passed through", "ms", 50, at_once(Measure.AT_ONCE_MS)),
    Goal("2,000 chunks at once, translated between dialects", "ms", 90, at_once(Measure.CROSSED_AT_ONCE_MS)),
    Goal("Cold start, to the first proxied byte", "ms", 900, _of(Measure.COLD_START_MS)),
    Goal("Import of the inference function", "ms", 800, _of(Measure.IMPORT_MS)),
    Goal("Memory of an inference environment after its requests", "MiB", 128, _of(Measure.MEMORY_END_MB)),
)
