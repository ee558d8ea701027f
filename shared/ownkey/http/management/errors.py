"""Errors of the management API: one shape, and nothing of the request's content in it.

FastAPI's own answer to a bad body repeats the body, provider keys included, even where the field is a `SecretStr`. Here
a field is named only if it is one of ours, and a value never.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ownkey.domain.errors import InvalidJson, InvalidParameter, MethodNotAllowed, NotFound, OwnkeyError
from ownkey.http.management import bodies

_log = logging.getLogger(__name__)

_TYPES = {
    401: "authentication_error",
    402: "insufficient_credits",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
}
_NOT_JSON = frozenset({"json_invalid", "model_attributes_type", "dict_type", "model_type"})
_QUERY = frozenset({"keyId", "from", "to", "dimension", "granularity", "limit", "cursor"})
_OUR_NAMES = _QUERY | {
    field.alias or name
    for body in vars(bodies).values()
    if isinstance(body, type) and issubclass(body, bodies.Body)
    for name, field in body.model_fields.items()
}


def install(app: FastAPI) -> None:
    """Every error the app can raise leaves in the one shape."""

    @app.exception_handler(OwnkeyError)
    async def designed(request: Request, error: Exception) -> Response:
        return render(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        return render(request, of_validation(error.errors()))  # type: ignore[attr-defined]

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: Exception) -> Response:
        return render(request, of_status(error.status_code))  # type: ignore[attr-defined]


def render(request: Request, error: Exception) -> Response:
    """The response of an error; one that nobody designed is logged, and says nothing of itself."""
    if not isinstance(error, OwnkeyError):
        _log.error("unexpected error", exc_info=error)
        error = OwnkeyError("The gateway failed.")
    metadata = {"source": error.side.value, "fix": error.fix, **error.details}
    body = {
        "message": error.message,
        "type": _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error"),
        "param": error.param,
        "code": error.code,
        "metadata": metadata,
    }
    headers = {} if error.retry_after_s is None else {"Retry-After": str(max(1, round(error.retry_after_s)))}
    return JSONResponse({"error": body}, status_code=error.status, headers=headers)


def of_validation(errors: Sequence[Any]) -> OwnkeyError:
    """The first thing wrong with a request's body or query.

    pydantic's messages say what was expected, never what came; ours in `bodies` keep to that.
    """
    first = errors[0]
    where, *path = first["loc"]
    if where == "body" and ((first["type"] in _NOT_JSON and not _named(path)) or not path):
        return InvalidJson("The body is not a JSON object.")
    if first["type"] == "extra_forbidden":
        return InvalidParameter(
            "The body has a field that is not known here.",
            fix="Leave it out, or correct its name: docs/contracts/management-api.md lists the fields.",
        )
    named = _named(path)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidParameter(f"`{named or where}`: {message}.", param=named)


def of_status(status: int) -> OwnkeyError:
    """What the router says: no such path, no such method, a body that cannot be decoded."""
    if status == 404:
        return NotFound("There is no such resource.", fix="Check the path.")
    if status == 405:
        return MethodNotAllowed("This resource does not take that method.", fix="Check the method.")
    return InvalidJson("The body cannot be read.")


def _named(path: Sequence[str | int]) -> str | None:
    """The field's path as far as its names are ours: a name that was sent may be a secret in the wrong place."""
    known: list[str] = []
    for part in path:
        if part not in _OUR_NAMES:
            break
        known.append(str(part))
    return ".".join(known) or None
