"""In which order the equal credentials of one provider are used: the pool's strategy, and a rotation's share (C4, C17).

Right over a fleet without a shared counter: each environment takes turns by itself, from a random beginning. So each is
exact, and their sum is even, as their beginnings are independent. What chance decides comes from outside (`Draw`), and
equal draws give equal orders.

============= ===========================================================================================
`fallback`    the oldest first
`round_robin` in turns, whatever the weights
`weighted`    in turns by weight: turn t takes the credential at the fraction of phase + t·φ, so that any run
              of turns is spread as evenly as numbers can be (a Kronecker sequence of the golden ratio)
`random`      a fresh number each time, whatever the weights
============= ===========================================================================================
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ownkey.domain.credentials import Credential, PoolStrategy

PLACES = 8
"""How many places are drawn: as many as a request has attempts. Behind them the order is by age."""

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_REMEMBERED_POOLS = 1_024
_BELOW_ONE = 1 - 2**-53

PoolKey = tuple[str, ...]
"""The ids of a pool's credentials: those that can serve this request. Each set of them takes turns of its own, so that
requests with other models, or a credential that cools down, leave nobody's turns uneven."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance has to say of one pool for one request."""

    turn: int
    """Counts up by one with each request of the environment that uses the pool."""
    phase: float
    """In [0, 1): where the environment began."""
    fresh: float
    """In [0, 1): a number of its own for each request."""

    @property
    def spread(self) -> float:
        """The turn's number in [0, 1), as far from those before it as can be."""
        return (self.phase + self.turn * _GOLDEN_RATIO) % 1.0


Draws = Callable[[PoolKey | None], Draw]
"""A pool's draw. None: of a pool behind the first, which takes no turn, as few requests come to it."""


def first_turn(_: PoolKey | None) -> Draw:
    """The draw of those who only want to know what there is: always the same."""
    return Draw(0, 0.0, 0.0)


class Turns:
    """One environment's turns, over its life: each call is a request that uses the pool."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._turns: OrderedDict[PoolKey, tuple[int, float]] = OrderedDict()

    def draw(self, pool: PoolKey | None) -> Draw:
        """The next one of the pool."""
        if pool is None:
            return Draw(0, self._chance.random(), self._chance.random())
        turn, phase = self._turns.get(pool) or (0, self._chance.random())
        self._turns[pool] = turn + 1, phase
        self._turns.move_to_end(pool)
        if len(self._turns) > _REMEMBERED_POOLS:
            self._turns.popitem(last=False)
        return Draw(turn, phase, self._chance.random())


class Pooled(Protocol):
    """A candidate, as far as pools know it."""

    @property
    def credential(self) -> Credential:
        """Its `version` is the one that is meant."""


P = TypeVar("P", bound=Pooled)


def pool_order(strategy: PoolStrategy, equals: Sequence[P], draws: Draws, *, first: bool = True) -> list[P]:
    """Candidates of one provider that nothing else orders, in the order to be tried.

    Args:
        equals: Oldest credential first; a previous version right behind its current one.
        first: Whether the request begins with this pool, and so takes a turn of it.
    """
    members: dict[str, list[P]] = {}
    for each in equals:
        members.setdefault(each.credential.id, []).append(each)
    rotating = len(members) < len(equals)
    if not rotating and (strategy is PoolStrategy.FALLBACK or len(members) < 2):
        return list(equals)
    draw = draws(tuple(members) if first else None)
    chance = _Chance(draw.fresh if strategy is PoolStrategy.RANDOM else draw.spread)
    order: list[P] = []
    for versions in _drawn(strategy, list(members.values()), draw, chance):
        order += versions if len(versions) == 1 else _by_share(versions, chance)
    return order


class _Chance:
    """One number in [0, 1), for as many choices as its digits allow: each choice leaves a number for the next."""

    def __init__(self, number: float) -> None:
        self._number = number

    def choose(self, weights: Sequence[float]) -> int:
        """An index, as often as its weight says."""
        at = self._number * sum(weights)
        for index, weight in enumerate(weights):
            if at < weight:
                self._number = min(at / weight, _BELOW_ONE)
                return index
            at -= weight
        return len(weights) - 1


def _drawn(strategy: PoolStrategy, members: list[list[P]], draw: Draw, chance: _Chance) -> Iterator[list[P]]:
    """The members in order. What a choice leaves of the number is for the member's own versions, then for the next."""
    if strategy is PoolStrategy.FALLBACK:
        yield from members
    elif strategy is PoolStrategy.ROUND_ROBIN:
        first = (draw.turn + int(draw.phase * len(members))) % len(members)
        yield from members[first:] + members[:first]
    else:
        weighted = strategy is PoolStrategy.WEIGHTED
        for _ in range(min(PLACES, len(members) - 1)):
            weights = [float(each[0].credential.weight) if weighted else 1.0 for each in members]
            yield members.pop(chance.choose(weights))
        yield from members


def _by_share(versions: list[P], chance: _Chance) -> list[P]:
    """The current version and the one before it, as often first as the rotation's share says."""
    current, previous = versions
    rotation = current.credential.previous
    share = rotation.share_percent if rotation is not None else 0
    return [previous, current] if chance.choose((share, 100 - share)) == 0 else [current, previous]
