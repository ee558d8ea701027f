"""Identity policies: which access key may do what, on which resources, under which conditions.

The evaluation is IAM's for identity policies alone: an explicit deny wins, then an allow, else the answer is no. An
access key without a policy may do everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

Context = Mapping[str, Sequence[str]]
"""Condition keys of one access and their values; a key that the request does not have is absent."""


class UnsupportedPolicy(ValueError):
    """A statement uses something that is not evaluated here. Better refused than quietly allowed."""


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that a call does: `dynamodb:PutItem` on a table's ARN. A call may need several."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True, slots=True)
class _Test:
    """One line of a condition: every line must hold."""

    operator: str
    key: str
    wanted: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        qualifier, _, name = self.operator.rpartition(":")
        optional = name.endswith("IfExists")
        values = context.get(self.key)
        if name == "Null":
            return (values is None) == (self.wanted[0].lower() == "true")
        matches, negative = _OPERATORS[name.removesuffix("IfExists")]
        if values is None:
            return optional or negative or qualifier == "ForAllValues"
        results = (any(matches(value, wanted) for wanted in self.wanted) != negative for value in values)
        return any(results) if qualifier == "ForAnyValue" else all(results)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    tests: tuple[_Test, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Statement:
        """Reads `{"effect": "Allow", "actions": [...], "resources": [...], "conditions": {operator: {key: values}}}`.

        Raises:
            UnsupportedPolicy: a member, an effect, a condition operator or a condition key is not known here.
        """
        if unknown := document.keys() - {"effect", "actions", "resources", "conditions"}:
            raise UnsupportedPolicy(f"unknown members of a statement: {sorted(unknown)}")
        if document.get("effect") not in ("Allow", "Deny"):
            raise UnsupportedPolicy(f"effect must be Allow or Deny, not {document.get('effect')!r}")
        tests = [
            _Test(_operator(operator), _condition_key(key), _several(wanted))
            for operator, keys in (document.get("conditions") or {}).items()
            for key, wanted in keys.items()
        ]
        return cls(
            document["effect"] == "Allow",
            _several(document.get("actions", ())),
            _several(document.get("resources", ())),
            tuple(tests),
        )

    def applies(self, access: Access) -> bool:
        """Whether this statement speaks about the access."""
        return (
            any(_like(access.action.lower(), pattern.lower()) for pattern in self.actions)
            and any(_like(access.resource, pattern) for pattern in self.resources)
            and all(test.holds(access.context) for test in self.tests)
        )


class IdentityPolicies:
    """The statements of each access key."""

    def __init__(self) -> None:
        self._statements: dict[str, tuple[Statement, ...]] = {}

    def replace(self, documents: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Sets the policies of all access keys; those left out may do everything again.

        Raises:
            UnsupportedPolicy: and nothing is replaced.
        """
        self._statements = {key: tuple(map(Statement.of, statements)) for key, statements in documents.items()}

    def restricts(self, access_key: str | None) -> bool:
        """Whether the key has a policy at all."""
        return access_key in self._statements

    def refusal(self, access_key: str | None, accesses: Iterable[Access]) -> str | None:
        """Why the first of the accesses that is not allowed is refused, in AWS's words; None if all are allowed."""
        statements = self._statements.get(access_key or "")
        if statements is None:
            return None
        for access in accesses:
            applying = [statement for statement in statements if statement.applies(access)]
            if all(statement.allows for statement in applying) and applying:
                continue
            why = (
                "with an explicit deny in an identity-based policy"
                if applying
                else f"because no identity-based policy allows the {access.action} action"
            )
            return (
                f"User: {access_key} is not authorized to perform: {access.action} on resource: {access.resource} {why}"
            )
        return None


# ------------------------------------------------------------------ matching
@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _equal_ignoring_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _number_equals(value: str, wanted: str) -> bool:
    return Decimal(value) == Decimal(wanted)


def _number_at_most(value: str, wanted: str) -> bool:
    return Decimal(value) <= Decimal(wanted)


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equal_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnLike": (_like, False),
    "ArnNotEquals": (_like, True),
    "ArnNotLike": (_like, True),
    "Bool": (_equal_ignoring_case, False),
    "NumericEquals": (_number_equals, False),
    "NumericLessThanEquals": (_number_at_most, False),
}
"""How one value is compared with one wanted, and whether a match means no."""

CONDITION_KEYS = (
    "dynamodb:LeadingKeys",
    "dynamodb:EnclosingOperation",
    "events:source",
    "kms:EncryptionContextKeys",
    "s3:ResourceAccount",
    "sts:DurationSeconds",
    "sts:ExternalId",
    "sts:IdentityTokenAudience",
    "sts:RoleSessionName",
    "sts:SigningAlgorithm",
    "aws:ResourceAccount",
    "aws:TagKeys",
)
_CONTEXT_PREFIXES = ("aws:RequestTag/", "kms:EncryptionContext:")


def _operator(text: str) -> str:
    qualifier, _, name = text.rpartition(":")
    if qualifier not in ("", "ForAllValues", "ForAnyValue"):
        raise UnsupportedPolicy(f"unknown condition operator: {text}")
    if name != "Null" and name.removesuffix("IfExists") not in _OPERATORS:
        raise UnsupportedPolicy(f"unknown condition operator: {text}")
    return text


def _condition_key(key: str) -> str:
    if key not in CONDITION_KEYS and not key.startswith(_CONTEXT_PREFIXES):
        raise UnsupportedPolicy(f"unknown condition key: {key}")
    return key


def _several(value: Any) -> tuple[str, ...]:
    if isinstance(value, (str, bool)):
        return (str(value),)
    return tuple(str(each) for each in value)
