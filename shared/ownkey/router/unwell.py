"""What is said where health leaves nobody: how long to wait, or what to do about each credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ownkey.domain.credentials import Credential, CredentialSource
from ownkey.domain.errors import (
    CredentialsCooling,
    CredentialsExhausted,
    CredentialUndecryptable,
    OwnkeyError,
    ProviderCooling,
)
from ownkey.domain.faults import FaultKind
from ownkey.domain.health import HealthState
from ownkey.router.candidates import Dropped

_ENDS_BY_ITSELF = (HealthState.COOLING, HealthState.OPEN)

_FIXES: Mapping[FaultKind, str] = {
    FaultKind.REFUSED: "rotate it (POST /api/byok/{id}/rotate)",
    FaultKind.TOKEN_REFUSED: "validate it (POST /api/byok/{id}/validate) to see what its provider says",
    FaultKind.OUT_OF_FUNDS: "add funds at its provider",
    FaultKind.FORBIDDEN: "let it use the model in its provider's console",
    FaultKind.UNDECRYPTABLE: "check the KMS key; if that is well, paste the key again (POST /api/byok/{id}/rotate)",
}
_OPERATORS_FIX = "Ask the operator of this gateway to replace the platform's credential."


@dataclass(frozen=True, slots=True)
class Dead:
    """A credential that waiting does not cure."""

    credential: Credential
    provider: str
    """As people know it."""
    source: CredentialSource
    kind: FaultKind
    said: str
    """By its provider, or by the vault."""

    @property
    def name(self) -> str:
        """Its alias; of a credential with two versions, which one."""
        credential = self.credential
        return credential.alias if credential.previous is None else f"{credential.alias}, version {credential.version}"


def refusal(unwell: Sequence[Dropped], at_ms: int) -> OwnkeyError:
    """Why nothing was sent, though there are credentials: `unwell` are all of them, at least one.

    What waiting cures is said first, with the shortest wait; of the others, each one's fix.
    """
    waiting = [each for each in unwell if each.mark is not None and each.mark.state in _ENDS_BY_ITSELF]
    if not waiting:
        return exhausted([dead_of(each) for each in unwell])
    first = min(waiting, key=lambda each: _opens_ms(each, at_ms))
    wait_s = max(0, _opens_ms(first, at_ms) - at_ms) / 1000
    details: dict[str, object] = {"provider": first.provider.display_name, "credentials": _aliases(waiting)}
    if first.mark is not None and first.mark.state is HealthState.OPEN:
        said = f" It said last: {sentence(first.mark.reason)}" if first.mark.reason else ""
        return ProviderCooling(
            f"{first.provider.display_name} failed repeatedly, so nothing is sent to it for now.{said}",
            retry_after_s=wait_s,
            details=details,
        )
    named = ", ".join(repr(alias) for alias in _aliases(waiting))
    return CredentialsCooling(
        f"Every credential that may serve this request waits for a rate limit of its provider: {named}.",
        retry_after_s=wait_s,
        details=details,
    )


def exhausted(dead: Sequence[Dead], details: Mapping[str, object] | None = None) -> OwnkeyError:
    """The error that names every credential, what was said of it, and what to do about it."""
    providers = list(dict.fromkeys(each.provider for each in dead))
    said = " ".join(f"{each.name!r}: {sentence(each.said)}" for each in dead)
    noun = "credential" if len(dead) == 1 else "credentials"
    aliases = list(dict.fromkeys(each.credential.alias for each in dead))
    details = {"provider": providers[0], **(details or {}), "credentials": aliases}
    sealed = [each for each in dead if each.kind is FaultKind.UNDECRYPTABLE]
    if len(sealed) == len(dead):
        message = f"The vault cannot open the {noun} {said}"
        return CredentialUndecryptable(message, fix=_fix_of(dead), details=details)
    subject = providers[0] if len(providers) == 1 else "The providers"
    message = f"None of the credentials can be used: {said}" if sealed else f"{subject} refused the {noun} {said}"
    return CredentialsExhausted(message, fix=_fix_of(dead), details=details)


def sentence(text: str) -> str:
    """The text with an end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def dead_of(dropped: Dropped) -> Dead:
    """A credential that its mark keeps from serving."""
    mark = dropped.mark
    assert mark is not None
    said = mark.reason or dropped.reason.value
    return Dead(dropped.credential, dropped.provider.display_name, dropped.source, mark.code, said)


def _fix_of(dead: Sequence[Dead]) -> str:
    own = [each for each in dead if each.source is CredentialSource.BYOK]
    if not own:
        return _OPERATORS_FIX
    fixes = {each.name: _FIXES[each.kind] for each in own}
    if len(fixes) == 1:
        (fix,) = fixes.values()
        return f"{fix[0].upper()}{fix[1:]}."
    return f"{'; '.join(f'{name!r}: {fix}' for name, fix in fixes.items())}."


def _aliases(dropped: Sequence[Dropped]) -> list[str]:
    return list(dict.fromkeys(each.credential.alias for each in dropped))


def _opens_ms(dropped: Dropped, at_ms: int) -> int:
    opens_ms = dropped.mark.opens_ms if dropped.mark is not None else None
    return at_ms if opens_ms is None else opens_ms
