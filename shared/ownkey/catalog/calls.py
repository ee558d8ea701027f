"""How a provider is spoken to about a key: how it is presented, and the one call that proves it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_BAD_KEY = re.compile(
    r"(?:\b(?:invalid|incorrect|unknown|unrecognized|revoked|expired|bad|missing or invalid|bad or missing)"
    r"[ _-](?:(?:api|access|auth|authentication|bearer|iam|subscription)[ _-])?(?:key|token|credentials?)\b)"
    r"|\bkey (?:is )?(?:invalid|not valid|expired|revoked)\b"
    r"|\bcheck (?:the|your) api[ -]key\b",
    re.IGNORECASE,
)
"""Of the key itself, where the status might also be of a permission: not every provider keeps 401 for bad keys, Sarvam
has 403 for them. The request is the catalog's own, so no client's words can stand in the answer."""


class Verdict(StrEnum):
    """What the answer to a validation call says of the key."""

    ACCEPTED = "accepted"
    LIMITED = "limited"
    """Genuine, but short of a permission for this call, or of funds: it may be saved."""
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    """Rate limit, failure, redirect: nothing was learned of the key."""


class ValidationStatus(StrEnum):
    """How sure it is that the validation call tells a good key from a bad one."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    """A refusal is a refusal, but an acceptance may only mean that the endpoint is public."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key is presented."""

    header: str
    template: str
    """The header's value, with `{key}` in the key's place."""

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key: secret."""
        return {self.header: self.template.replace("{key}", key)}


@dataclass(frozen=True, slots=True)
class Wording:
    """What an error answer says, where its status alone does not tell."""

    pattern: str
    """A regular expression, found anywhere in the error's code, type and message."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Validation:
    """The one call that tells whether a key is good; it costs nothing or next to nothing."""

    method: str
    path: str
    """Appended to the base URL; or an absolute URL where the provider checks keys elsewhere. Takes public fields of
    the credential's form: `{region}`."""
    body: str | None
    """JSON text to send, where the method wants one."""
    accepted: frozenset[int]
    limited: frozenset[int]
    rejected: frozenset[int]
    status: ValidationStatus
    says: tuple[Wording, ...] = ()
    """Of a refusal (4xx), read before the sets of statuses; the first that is found decides."""

    def verdict(self, status: int, said: str = "") -> Verdict:
        """What an answer means for the key: its HTTP status, and the words of its error."""
        if status in self.accepted:
            return Verdict.ACCEPTED
        for wording in self.says if 400 <= status < 500 else ():
            if re.search(wording.pattern, said):
                return wording.verdict
        if status in self.limited:
            return Verdict.REJECTED if _BAD_KEY.search(said) else Verdict.LIMITED
        return Verdict.REJECTED if status in self.rejected else Verdict.INCONCLUSIVE


_EMPTY_REQUEST: Mapping[str, Any] = {
    "method": "POST",
    "body": "{}",
    "accepted": (400, 404, 422),
    "limited": (402, 403),
    "rejected": (401,),
}
"""Refused in any case: for its key, or for its emptiness where keys are looked at first (404: it names no model that is
there). It costs nothing."""
PROBES: Mapping[str, Mapping[str, Any]] = {
    "models": {
        "method": "GET",
        "path": "/models",
        "accepted": (200,),
        "limited": (402, 403),
        "rejected": (401,),
    },
    "chat": {**_EMPTY_REQUEST, "path": "/chat/completions"},
    "embeddings": {**_EMPTY_REQUEST, "path": "/embeddings"},
}
"""The usual calls, by name: a row's `probe`."""


def decode_validation(row: Mapping[str, Any]) -> Validation:
    """The validation of a row or form of providers.json.

    Raises:
        KeyError, TypeError, ValueError: it lacks a field or has one that is not known.
    """
    if "probe" in row:
        row = {**PROBES[row["probe"]], **{name: value for name, value in row.items() if name != "probe"}}
    verdicts = {name: frozenset(row.get(name, ())) for name in ("accepted", "limited", "rejected")}
    says = tuple(Wording(each["pattern"], Verdict(each["verdict"])) for each in row.get("says", ()))
    return Validation(**{"body": None, **row, **verdicts, "says": says, "status": ValidationStatus(row["status"])})
