"""What the fleet has learnt of credentials and providers: marks, how they come, what they stand in the way of, how
they go. Pure; the marks of an account stand in one item, which every request reads (`ownkey.registry.health`).

A mark's key says what it is of:

================================= ======================================================================
`<credential>@<version>`          one version of a credential: a rotation leaves the mark behind
`<credential>@<version>#<model>`  the same, for one model
`P#<provider>#<destination>`      a provider at one address, for the credentials of this account
================================= ======================================================================

Marks come of faults (`domain.faults`) by rules that are a table in docs/contracts/routing.md, and `_RULES` here. Times
are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ownkey.domain.faults import Fault, FaultKind

MAX_MARKS = 200
"""In one item: it is read with every request of the account. Writers at the same moment may each add one past it; the
next write takes them back."""
MAX_PRUNED = 64
"""Marks that one write takes away: an update expression is at most 4 KB."""
COUNTED_FAILURES = 3
"""So many failures of a provider, and none of its answers in between, open its breaker."""
WINDOW_MS = 60_000
"""For counting them."""
PROBE_MS = 30_000
"""How long others wait for a probe; after it the next one may go out."""

_SECOND_MS = 1_000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
_LONGEST_WAIT_MS = 24 * _HOUR_MS
_AS_GOOD_MS = 1_000
"""A mark that ends so little before another would is left as it is: each write counts."""


class HealthState(StrEnum):
    """What a mark says."""

    REJECTED = "rejected"
    COOLING = "cooling"
    UNDECRYPTABLE = "undecryptable"
    SUSPECT = "suspect"
    """A provider's failures are being counted; it is still asked."""
    OPEN = "open"
    """Its breaker is open: it is not asked."""


class Scope(StrEnum):
    """What a mark is of."""

    CREDENTIAL = "credential"
    MODEL = "model"
    """A credential for one model."""
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a fault does: to whom, for how long the first time and at most. None: until somebody does something."""

    state: HealthState
    scope: Scope
    first_ms: int | None
    longest_ms: int | None = None


_RULES: Mapping[FaultKind, _Rule] = {
    FaultKind.REFUSED: _Rule(HealthState.REJECTED, Scope.CREDENTIAL, None),
    FaultKind.TOKEN_REFUSED: _Rule(HealthState.REJECTED, Scope.CREDENTIAL, _MINUTE_MS, 6 * _HOUR_MS),
    FaultKind.OUT_OF_FUNDS: _Rule(HealthState.REJECTED, Scope.CREDENTIAL, 15 * _MINUTE_MS, 6 * _HOUR_MS),
    FaultKind.FORBIDDEN: _Rule(HealthState.REJECTED, Scope.MODEL, _HOUR_MS, 24 * _HOUR_MS),
    FaultKind.RATE_LIMITED: _Rule(HealthState.COOLING, Scope.MODEL, 5 * _SECOND_MS, _MINUTE_MS),
    FaultKind.UNDECRYPTABLE: _Rule(HealthState.UNDECRYPTABLE, Scope.CREDENTIAL, _MINUTE_MS, 5 * _MINUTE_MS),
    FaultKind.FAILING: _Rule(HealthState.OPEN, Scope.PROVIDER, 15 * _SECOND_MS, 5 * _MINUTE_MS),
}
_PROBED = (HealthState.REJECTED, HealthState.OPEN)
"""These end with a probe: one request goes out, the others wait for what becomes of it. The others end with time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a credential's version, of it for a model, or of a provider."""

    state: HealthState
    code: FaultKind
    at_ms: int
    until_ms: int | None
    """None: until it is rotated, or validated anew."""
    reason: str | None = None
    strikes: int = 1
    """How often in a row: each doubles the time."""
    failures: int = 0
    """Counted so far, of a SUSPECT."""
    probe_until_ms: int | None = None
    """While one request finds out, the others wait until then."""
    by: str | None = None
    """Of a provider in the item of the operator, or of a lender: the account whose requests alone have failed so far,
    and whom alone the mark stands in the way of. None: several accounts', or the marks' own. In a lender's item no id,
    but what `domain.sharing.guest` makes of it."""

    def blocks(self, now_ms: int) -> bool:
        """Whether nothing may be sent."""
        if self.state is HealthState.SUSPECT:
            return False
        opens_ms = self.opens_ms
        return opens_ms is None or now_ms < opens_ms

    def half_open(self, now_ms: int) -> bool:
        """Whether one request, and only one, may find out how things are."""
        return self.state in _PROBED and not self.blocks(now_ms)

    @property
    def opens_ms(self) -> int | None:
        """When something may be sent again; None: waiting does not help."""
        if self.until_ms is None or self.probe_until_ms is None:
            return self.until_ms
        return max(self.until_ms, self.probe_until_ms)

    def forgotten(self, now_ms: int) -> bool:
        """Whether it says nothing any more, not even how often in a row."""
        if self.until_ms is None:
            return False
        if self.state is HealthState.SUSPECT:
            return now_ms >= self.until_ms
        kept_ms = _LONGEST_WAIT_MS if self.state in _PROBED else max(self.until_ms - self.at_ms, _MINUTE_MS)
        return now_ms >= self.until_ms + kept_ms


Marks = Mapping[str, Mark]


class Health:
    """An account's marks, as one read found them. Falsy where there are none: all is well."""

    __slots__ = ("_asks", "marks")

    def __init__(self, marks: Marks | None = None, asks: str | None = None) -> None:
        self.marks: Marks = marks or {}
        self._asks = asks

    def __bool__(self) -> bool:
        return bool(self.marks)

    def look(self, keys: Iterable[str], now_ms: int) -> tuple[Mark | None, dict[str, Mark]]:
        """Of the marks with these keys: the one that stands longest in the way, and those that a probe may end."""
        known = [(key, mark) for key in keys if (mark := self.marks.get(key)) is not None]
        found = [(key, mark) for key, mark in known if mark.by is None or mark.by == self._asks]
        standing = [mark for _, mark in found if mark.blocks(now_ms)]
        blocking = max(standing, key=_ends, default=None)
        return blocking, {key: mark for key, mark in found if mark.half_open(now_ms)}

    def of_version(self, credential_id: str, version: int) -> Iterator[tuple[str | None, Mark]]:
        """(model, mark) of each mark of a credential's version; the model is None where it is of all."""
        key = credential_key(credential_id, version)
        for each, mark in self.marks.items():
            own, _, model = each.partition("#")
            if own == key:
                yield model or None, mark

    def wants_validation(self, credential_id: str, version: int) -> bool:
        """Whether there is a mark that a validation can take away."""
        mark = self.marks.get(credential_key(credential_id, version))
        return mark is not None and _cured_by_validation(mark)

    def with_marks(self, marks: Marks) -> Health:
        """The same with some marks replaced."""
        return Health({**self.marks, **marks}, self._asks)

    def seen_by(self, account_id: str) -> Health:
        """The same as an account's requests meet it: what only another's have failed at stands in nobody's way."""
        return Health(self.marks, account_id)


HEALTHY = Health()
"""Nothing is known, so all is well."""


def credential_key(credential_id: str, version: int) -> str:
    """Of one version of a credential."""
    return f"{credential_id}@{version}"


def model_key(credential_id: str, version: int, model_id: str) -> str:
    """Of one version of a credential, for one model as its provider names it."""
    return f"{credential_id}@{version}#{model_id}"


def provider_key(provider_id: str, destination: str) -> str:
    """Of a provider at one address."""
    return f"P#{provider_id}#{destination}"


# ── How marks come


def scope_of(fault: Fault) -> Scope:
    """What it is said of."""
    return _RULES[fault.kind].scope


def after_fault(
    old: Mark | None, fault: Fault, now_ms: int, *, probing: bool = False, by: str | None = None
) -> Mark | None:
    """The mark after a failure; `old` itself where nothing is new, so that nothing is written.

    Args:
        probing: The failure is that of the probe which `old` waits for.
        by: The account whose request it was, where the mark is shared by all; a provider's failures alone go by it.
    """
    if old is not None and old.forgotten(now_ms):
        old = None
    if fault.kind is FaultKind.FAILING:
        return _after_failure(old, fault, now_ms, probing, by)
    if old is not None and old.blocks(now_ms) and not probing:
        return _while_standing(old, fault, now_ms)
    again = old is not None and old.code is fault.kind
    return _marked(fault, now_ms, old.strikes + 1 if old is not None and again else 1) or old


def counted(failures_in_a_row: int, answered_ms: int | None, now_ms: int) -> bool:
    """Whether a failure counts, by how one environment's requests went lately.

    A provider that answers one in three here is not down, whatever the third says.

    Args:
        failures_in_a_row: This one among them.
        answered_ms: When the provider last answered; None: not that the environment knows.
    """
    return failures_in_a_row >= COUNTED_FAILURES or answered_ms is None or now_ms - answered_ms > WINDOW_MS


def _while_standing(old: Mark, fault: Fault, now_ms: int) -> Mark | None:
    """Others have marked it already: what is worse replaces the mark, a longer wait prolongs it."""
    new = _marked(fault, now_ms, 1)
    if new is None or _severity(new) < _severity(old):
        return old
    if _severity(new) > _severity(old):
        return new
    prolonged = new.state is HealthState.COOLING and _ends(new) > _ends(old) + _AS_GOOD_MS
    return replace(new, strikes=old.strikes) if prolonged else old


def _after_failure(old: Mark | None, fault: Fault, now_ms: int, probing: bool, by: str | None) -> Mark | None:
    """One account's failures open the breaker for it alone: its requests may be what breaks the provider."""
    by = by if old is None or old.by == by else None
    if old is not None and old.state is HealthState.OPEN and not probing:
        return old if old.by == by else replace(old, by=by)
    failures, at_ms = (1, now_ms) if old is None else (old.failures + 1, old.at_ms)
    if probing or failures >= COUNTED_FAILURES:
        strikes = old.strikes + 1 if old is not None and probing else 1
        opened = _marked(fault, now_ms, strikes)
        return opened and replace(opened, by=by)
    return Mark(HealthState.SUSPECT, fault.kind, at_ms, at_ms + WINDOW_MS, fault.reason, failures=failures, by=by)


def _marked(fault: Fault, now_ms: int, strikes: int) -> Mark | None:
    """The mark of a fault; None where the provider says not to wait at all."""
    rule = _RULES[fault.kind]
    if rule.first_ms is None or rule.longest_ms is None:
        return Mark(rule.state, fault.kind, now_ms, None, fault.reason, strikes)
    lasts_ms = min(rule.first_ms << min(strikes - 1, 16), rule.longest_ms)
    if fault.wait_ms is not None:
        if rule.state is HealthState.COOLING:
            lasts_ms = min(fault.wait_ms, _LONGEST_WAIT_MS)
        else:
            lasts_ms = max(lasts_ms, min(fault.wait_ms, rule.longest_ms))
    return Mark(rule.state, fault.kind, now_ms, now_ms + lasts_ms, fault.reason, strikes) if lasts_ms > 0 else None


def _severity(mark: Mark) -> int:
    return 2 if mark.until_ms is None else int(mark.state is HealthState.REJECTED)


def _ends(mark: Mark) -> float:
    opens_ms = mark.opens_ms
    return float("inf") if opens_ms is None else opens_ms


# ── How they go


def claimed(mark: Mark, now_ms: int) -> Mark:
    """The mark while one request finds out."""
    return replace(mark, probe_until_ms=now_ms + PROBE_MS)


def released(mark: Mark) -> Mark:
    """The mark after a probe that found out nothing: the next request may be one."""
    return replace(mark, probe_until_ms=None)


def after_validation(model: str | None, mark: Mark, now_ms: int, *, unreserved: bool) -> Mark | None:
    """A version's mark after its provider accepted the key; `model` is the mark's, if it is of one.

    What a validation cannot see, funds and models, waits no longer for its turn: the next request finds out.

    Args:
        unreserved: The provider named nothing that the key lacks.
    """
    if model is None and _cured_by_validation(mark):
        return None
    if not unreserved or mark.state is not HealthState.REJECTED or not mark.blocks(now_ms):
        return mark
    return replace(mark, until_ms=now_ms)


def prunable(marks: Marks, now_ms: int, *, keep: str, adds: bool) -> list[str]:
    """Keys of marks that go with the next write, which is of `keep`: what is forgotten, and what exceeds the bound.

    Over the bound, those go first that are of one model, then those that end the soonest: what is lost is learnt anew.
    """
    others = [(key, mark) for key, mark in marks.items() if key != keep]
    forgotten = [key for key, mark in others if mark.forgotten(now_ms)]
    excess = len(marks) - len(forgotten) + int(adds and keep not in marks) - MAX_MARKS
    if excess > 0:
        kept = sorted((each for each in others if each[0] not in set(forgotten)), key=lambda each: _worth(*each))
        forgotten += [key for key, _ in kept[:excess]]
    return forgotten[:MAX_PRUNED]


def _worth(key: str, mark: Mark) -> tuple[bool, float, int]:
    head, hash_sign, _ = key.partition("#")
    of_model = bool(hash_sign) and "@" in head
    return not of_model, _ends(mark), mark.at_ms


def _cured_by_validation(mark: Mark) -> bool:
    return mark.until_ms is None or mark.state is HealthState.UNDECRYPTABLE
