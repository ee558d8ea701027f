"""The hand-over from management to validation, as JSON: ciphertext there, a verdict back.

```
{"action": "validate", "candidate": {
    "binding": {"account_id", "provider_id", "credential_id", "version", "destination"},
    "sealed":  {"wrapped_key", "kms_key_id", "nonce", "ciphertext", "commitment", …}        bytes in base64
    "headers": {name: value}, "fields": {name: value}, "form": "key", "kept": "nothing"}}
→ {"verdict": "accepted", "reason": null, "status": 200, "fix": null}
```
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ownkey.domain.credentials import Binding, Credential, SealedSecret

ACTION = "validate"

_BYTES = ("wrapped_key", "nonce", "ciphertext", "commitment")

Json = dict[str, Any]


class Verdict(StrEnum):
    """What became of one validation."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """The provider says that the key is bad: `reason` is in its own words."""
    UNREACHABLE = "unreachable"
    """The provider did not answer, or answered something that says nothing of the key."""
    UNDECRYPTABLE = "undecryptable"
    """The vault cannot open it: the provider was not asked."""


class Kept(StrEnum):
    """What of a finding becomes the health of the credential's version."""

    NOTHING = "nothing"
    """It is not stored, and may never be."""
    ACCEPTANCE = "acceptance"
    """Its secret serves already, with other fields than these: a refusal says nothing of it."""
    FINDING = "finding"
    """It serves already as it was asked about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, why, and the provider's HTTP status (None where it did not answer). Never holds the key."""

    verdict: Verdict
    reason: str | None = None
    """Of an acceptance: what it does not cover."""
    status: int | None = None
    fix: str | None = None
    """What to do about it, where it is known better than by the verdict."""

    def to_json(self) -> Json:
        """As the validation function returns it."""
        return asdict(self)

    @staticmethod
    def from_json(answer: Mapping[str, Any]) -> Finding:
        """The inverse of `to_json`."""
        return Finding(Verdict(answer["verdict"]), answer["reason"], answer["status"], answer["fix"])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sealed key, and what a probe of its provider needs besides."""

    binding: Binding
    sealed: SealedSecret | None
    """None: keyless."""
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    form: str = "key"
    kept: Kept = Kept.NOTHING

    @staticmethod
    def of(credential: Credential, sealed: SealedSecret | None, *, kept: Kept = Kept.NOTHING) -> Candidate:
        """A credential, stored or about to be."""
        return Candidate(credential.binding(), sealed, credential.headers, credential.fields, credential.form, kept)

    def to_json(self) -> Json:
        """The event for the validation function."""
        candidate = {
            "binding": asdict(self.binding),
            "sealed": None if self.sealed is None else sealed_to_json(self.sealed),
            "headers": dict(self.headers),
            "fields": dict(self.fields),
            "form": self.form,
            "kept": self.kept.value,
        }
        return {"action": ACTION, "candidate": candidate}

    @staticmethod
    def from_json(event: Mapping[str, Any]) -> Candidate:
        """The inverse of `to_json`.

        Raises:
            ValueError: another action.
            KeyError, TypeError: not a candidate.
        """
        if event.get("action") != ACTION:
            raise ValueError("the event names no action of this function")
        return Candidate.of_json(event["candidate"])

    @staticmethod
    def of_json(candidate: Mapping[str, Any]) -> Candidate:
        """The candidate of an event.

        Raises:
            KeyError, TypeError: it is none.
        """
        sealed = candidate["sealed"]
        return Candidate(
            Binding(**candidate["binding"]),
            None if sealed is None else sealed_from_json(sealed),
            candidate["headers"],
            candidate["fields"],
            candidate["form"],
            Kept(candidate["kept"]),
        )


def sealed_to_json(sealed: SealedSecret) -> Json:
    """A sealed secret as JSON: bytes in base64."""
    fields = asdict(sealed)
    for name in _BYTES:
        fields[name] = base64.b64encode(fields[name]).decode()
    return fields


def sealed_from_json(sealed: Mapping[str, Any]) -> SealedSecret:
    """The inverse of `sealed_to_json`."""
    fields = dict(sealed)
    for name in _BYTES:
        fields[name] = base64.b64decode(fields[name], validate=True)
    return SealedSecret(**fields)
