"""Medians with their spread, and the differences and ratios between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repeated measurements, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ValueError without values."""
        return cls(quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75), len(values))

    def over(self, other: Spread) -> float | None:
        """The ratio of the medians; None where the other's is not positive, as an added time may be."""
        return self.median / other.median if other.median > 0 else None


def quantile(values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` of the values lie, interpolated between neighbours.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def added(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """What each round has more than the same round of the base.

    Raises:
        ValueError: they are not as many rounds.
    """
    return [value - below for value, below in zip(values, base, strict=True)]
