"""What cannot be undone is asked for twice, the second time by name."""

from __future__ import annotations

from ownkey.domain.errors import InvalidParameter
from ownkey.http.management import bodies


def require_confirmed(body: bodies.Confirmation, expected: str) -> None:
    """Compares the name in the body with the one in the path.

    Raises:
        InvalidParameter: it is about something else.
    """
    if body.confirm != expected:
        raise InvalidParameter("The confirmation names something else.", fix="Repeat the id.", param="confirm")
