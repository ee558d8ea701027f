"""`ETag` on single resources, `If-Match` on what changes them (RFC 9110, 8.8.3 and 13.1.1).

```
read      return etags.answer(views.thing(each))
change    etags.check(request, views.thing(current))      # 412 where the client decided on another state
          … a write under the condition that `current` is still what stands there (409 where it is not)
          return etags.answer(views.thing(changed))
```
The tag is a digest of what is shown, without what changes by itself: use, health, time's passing. The check is only as
good as the read it is made on: it has to be the one that the write's own condition is about.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ownkey.domain.errors import PreconditionFailed

VOLATILE = frozenset(
    {
        "last_used_at",
        "validated_at",
        "status",
        "status_until",
        "status_code",
        "status_reason",
        "status_models",
        "provider_failing_until",
        "unexplained_spend",
        "rewrap",
        "current",
        "warnings",
        "key",
    }
)
"""Fields, at any depth, that no client decides by, or that only the answer to a creation has."""

_DIGEST_CHARS = 32


def answer(body: dict[str, Any], status: int = 200) -> Response:
    """One resource, with its tag."""
    return JSONResponse(body, status_code=status, headers={"ETag": tag_of(body)})


def tag_of(body: dict[str, Any]) -> str:
    """The tag of a resource as it is shown."""
    canonical = json.dumps(_lasting(body), sort_keys=True, separators=(",", ":")).encode()
    return f'"{sha256(canonical).hexdigest()[:_DIGEST_CHARS]}"'


def check(request: Request, current: dict[str, Any]) -> None:
    """Whether the resource is still what the client saw, where the request says what that was.

    Raises:
        PreconditionFailed: it is not.
    """
    wanted = request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    if tag_of(current) not in (tag.strip() for tag in wanted.split(",")):
        raise PreconditionFailed("The resource is no longer what If-Match says.")


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(each) for name, each in value.items() if name not in VOLATILE}
    return [_lasting(each) for each in value] if isinstance(value, list) else value
