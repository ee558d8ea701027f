"""JSON responses, pages and opaque cursors.

```
one resource              answer(body), or etags.answer(body) where it has a single representation
a list in memory          rows, after = cut(items, limit, cursor, by=lambda each: each.id)
                          answer_page(map(view, rows), after)
a list that DynamoDB pages     answer_page(rows, next_cursor)
```
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query
from starlette.responses import JSONResponse, Response

from ownkey.domain.errors import InvalidParameter

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=500)]
"""Parameters of every list: `limit: Limit = 50, cursor: Cursor = None`."""


def answer(body: dict[str, Any], status: int = 200) -> Response:
    """One resource."""
    return JSONResponse(body, status_code=status)


def answer_list(rows: Iterable[dict[str, Any]], **more: Any) -> Response:
    """Several: `{"data": […]}`."""
    return JSONResponse({"data": list(rows), **more})


def answer_page(rows: Iterable[dict[str, Any]], next_cursor: str | None) -> Response:
    """A page: `next_cursor` is null at the end."""
    return answer_list(rows, next_cursor=None if next_cursor is None else shown_cursor(next_cursor))


def cut(
    items: Iterable[T], limit: int, cursor: str | None, *, by: Callable[[T], str], newest_first: bool = False
) -> tuple[list[T], str | None]:
    """The page of a list in memory, in the order of `by`, which must tell every two apart; and the next cursor.

    What is added or removed between two pages moves nothing else: a cursor is a place in the order, not a count.

    Raises:
        InvalidParameter: the cursor is none.
    """
    after = read_cursor(cursor)
    ordered = sorted(items, key=by, reverse=newest_first)
    left = [each for each in ordered if after is None or (by(each) < after if newest_first else by(each) > after)]
    return left[:limit], by(left[limit - 1]) if len(left) > limit else None


def shown_cursor(next_cursor: str) -> str:
    """A place in an order as clients see it: text to be sent back, and nothing else."""
    return base64.urlsafe_b64encode(next_cursor.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str | None:
    """The inverse of `shown_cursor`.

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
