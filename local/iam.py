"""Whether a role may invoke a function: the one permission that AWS on loopback does not see. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from local.deployment import Statement


def allows(statements: Iterable[Statement], action: str, resource: str) -> bool:
    """Whether the statements allow `action` on `resource`: one allows it, none denies it."""
    verdicts = {
        statement.effect
        for statement in statements
        if any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(fnmatchcase(resource, pattern) for pattern in statement.resources)
    }
    return verdicts == {"Allow"}
