"""JSON responses and opaque cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse, Response

from ownkey.domain.errors import InvalidParameter


def answer(body: dict[str, Any], status: int = 200) -> Response:
    """One resource."""
    return JSONResponse(body, status_code=status)


def answer_list(rows: Iterable[dict[str, Any]], **more: Any) -> Response:
    """Several: `{"data": […]}`."""
    return JSONResponse({"data": list(rows), **more})


def answer_page(rows: Iterable[dict[str, Any]], next_cursor: str | None) -> Response:
    """A page: `next_cursor` is null at the end."""
    shown = None if next_cursor is None else base64.urlsafe_b64encode(next_cursor.encode()).decode().rstrip("=")
    return answer_list(rows, next_cursor=shown)


def read_cursor(cursor: str | None) -> str | None:
    """The inverse of what `answer_page` shows.

    Raises:
        InvalidParameter: nothing that a page ever showed.
    """
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as e:
        raise bad_cursor() from e


def bad_cursor() -> InvalidParameter:
    """What a made-up cursor gets."""
    return InvalidParameter("This is no cursor.", fix="Send `next_cursor` of the page before.", param="cursor")
