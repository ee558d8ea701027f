"""What a verification finds: what an item says, what it should say, and why that is likely (pure).

Traffic goes on while somebody looks, so nothing is compared with what was read at another moment. What only ever grows
(an aggregate, what is used of a limit) is read before and after what it is counted from: it must not have been more
before, nor be less after. Where nothing moved in between, that is equality.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Counts = Mapping[str, int]


class Kind(StrEnum):
    """What differs."""

    AGGREGATE = "aggregate"
    """A row of usage."""
    MOVEMENTS = "movements"
    """A month's movements."""
    COUNTER = "counter"
    """What is used, or reserved, of a limit."""
    BALANCE = "balance"
    HOLD = "hold"
    POSTING = "posting"
    RECORD = "record"
    """One that nobody counts, or ends."""
    PRICE = "price"
    """A record's cost or charge."""


PROJECTIONS = frozenset({Kind.AGGREGATE, Kind.MOVEMENTS, Kind.COUNTER})
"""What can be rebuilt from records and postings. Nothing else is ever written over."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be."""

    kind: Kind
    account_id: str
    item: str
    """Which: partition and sort key."""
    what: str
    """Which attribute of it; empty: the item itself."""
    says: int | None
    """Nano-dollars, tokens, attempts, …; None: it is not there, or is no number."""
    should_say: int | None
    why: str

    def __str__(self) -> str:
        """For a person: one line."""
        said = " ".join(part for part in (self.item, self.what) if part)
        if self.says is None and self.should_say is None:
            return f"{self.kind}: {said}: {self.why}"
        return f"{self.kind}: {said} says {_shown(self.says)}, should say {_shown(self.should_say)}: {self.why}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a projection that differs: what it takes to rebuild it."""

    kind: Kind
    account_id: str
    pk: str
    sk: str
    stored: Counts
    """As it stood when it was counted again."""
    expected: Counts
    still: bool
    """Whether nothing was added to it meanwhile: only then is `expected` what it must say."""
    last_at: str = ""
    """When the last attempt of an aggregate ended."""


def compared(row: Row, before: Counts, after: Counts, *, signed: Collection[str] = ()) -> list[Difference]:
    """Where what was counted lies outside what the row said before and after; zeros may be left out.

    Args:
        signed: Counters that may go up and down: they are judged only where nothing moved.
    """
    found = []
    for name in sorted({*before, *after, *row.expected}):
        if name in signed and not row.still:
            continue
        low, high = sorted((before.get(name, 0), after.get(name, 0)))
        should = row.expected.get(name, 0)
        if not low <= should <= high:
            says = high if should > high else low
            why = _why(row.kind, says, should)
            found.append(Difference(row.kind, row.account_id, f"{row.pk} {row.sk}", name, says, should, why))
    return found


def numbers(item: Mapping[str, object]) -> dict[str, int]:
    """The counters of an item; those that are zero are left out."""
    return {name: value for name, value in item.items() if isinstance(value, int) and value and name != "ttl_s"}


def standing(looks: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Of several looks at what should be zero, what was the same and not zero in each."""
    found: dict[str, int] | None = None
    for look in looks:
        found = dict(look) if found is None else {key: each for key, each in found.items() if look.get(key) == each}
    return {key: each for key, each in (found or {}).items() if each}


def _why(kind: Kind, says: int, should: int) -> str:
    source = "postings" if kind is Kind.MOVEMENTS else "records"
    if abs(says) < abs(should):
        return f"what {source} add was not added, or was taken away by something else than billing"
    return f"something was added twice, or by something else than billing, or {source} of it are gone"


def _shown(value: int | None) -> str:
    return "nothing" if value is None else str(value)
