"""What a credential's card says of its health (C15)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ownkey.domain.credentials import Credential
from ownkey.domain.faults import FaultKind
from ownkey.domain.health import Health, HealthState, Mark, provider_key


class CardStatus(StrEnum):
    """One word for a card."""

    ACTIVE = "active"
    REJECTED = "rejected"
    COOLING = "cooling"
    UNDECRYPTABLE = "undecryptable"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class CardState:
    """The health of one version of a credential, as people read it."""

    status: CardStatus
    until: str | None = None
    """RFC 3339: when it is tried again by itself. None: now, or not before somebody does something."""
    code: FaultKind | None = None
    reason: str | None = None
    """In the provider's words, scrubbed."""
    models: tuple[str, ...] = ()
    """The only models that the status is of. Empty: all of them."""
    provider_failing_until: str | None = None
    """Its provider is failing, which is nothing that the credential could help: until then nothing is sent."""


def card(credential: Credential, health: Health, now_ms: int) -> CardState:
    """The card of the version that `credential` names; of a previous one, give `credential.as_previous()`.

    Args:
        health: Of the credential's account.
    """
    failing = health.marks.get(provider_key(credential.provider_id, credential.destination))
    if failing is not None and (failing.by is not None or not failing.blocks(now_ms)):
        failing = None  # what one other account's requests alone have failed at is nothing to its owner
    failing_until = _time(failing.opens_ms) if failing is not None else None
    if credential.disabled:
        return CardState(CardStatus.DISABLED, provider_failing_until=failing_until)
    # What waits for its probe is as it was: nothing has been heard to the contrary.
    telling = {
        model: mark
        for model, mark in health.of_version(credential.id, credential.version)
        if mark.blocks(now_ms) or mark.half_open(now_ms)
    }
    if not telling:
        return CardState(CardStatus.ACTIVE, provider_failing_until=failing_until)
    # A mark of the whole version says more than those of single models; of these, what passes by itself comes first.
    first = telling.get(None) or min(telling.values(), key=lambda mark: mark.state is not HealthState.COOLING)
    alike = {
        model: mark for model, mark in telling.items() if mark.state is first.state and (None in telling) == (not model)
    }
    return CardState(
        CardStatus(first.state.value),
        until=_until(alike.values(), now_ms),
        code=first.code,
        reason=first.reason,
        models=tuple(sorted(model for model in alike if model is not None)),
        provider_failing_until=failing_until,
    )


def _until(marks: Iterable[Mark], now_ms: int) -> str | None:
    """When the first of them is tried again."""
    ends = [mark.opens_ms for mark in marks if mark.opens_ms is not None]
    return _time(min(ends)) if ends and min(ends) > now_ms else None


def _time(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
