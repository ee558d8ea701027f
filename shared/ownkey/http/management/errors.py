"""Errors of the management API: in OpenAI's shape, with nothing of the request's content in them.

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
from starlette.responses import Response

from ownkey.domain.errors import InvalidJson, InvalidParameter, MethodNotAllowed, NotFound, OwnkeyError
from ownkey.domain.surfaces import Dialect
from ownkey.http import errors
from ownkey.http.management import bodies

_log = logging.getLogger(__name__)

_NOT_JSON = frozenset({"json_invalid", "model_attributes_type", "dict_type", "model_type"})
_QUERY = frozenset(
    {"keyId", "from", "to", "dimension", "granularity", "limit", "cursor", "action", "actor", "credential_id", "format"}
    | {"source", "gateway_key", "model", "provider", "credential", "app", "user", "tag", "outcome", "month", "by"}
)
_OUR_NAMES = _QUERY | {
    field.alias or name
    for body in vars(bodies).values()
    if isinstance(body, type) and issubclass(body, bodies.Body)
    for name, field in body.model_fields.items()
}


def install(app: FastAPI, members: frozenset[str] = frozenset()) -> None:
    """Every error the app can raise leaves in the one shape.

    Args:
        members: Names of fields that bodies have beside their own: those of the catalog's forms.
    """
    names = _OUR_NAMES | members

    @app.exception_handler(OwnkeyError)
    async def designed(request: Request, error: Exception) -> Response:
        return render(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        return render(request, of_validation(error.errors(), names))  # type: ignore[attr-defined]

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: Exception) -> Response:
        return render(request, of_status(error.status_code))  # type: ignore[attr-defined]


def render(request: Request, error: Exception) -> Response:
    """The response of an error; one that nobody designed is logged, and says nothing of itself."""
    if not isinstance(error, OwnkeyError):
        _log.error("unexpected error", exc_info=error)
        error = OwnkeyError("The gateway failed.")
    request.state.error_code = error.code
    rendered = errors.render(error, Dialect.OPENAI, request.state.request_id)
    return Response(rendered.body, rendered.status, rendered.headers)


def of_validation(found: Sequence[Any], names: frozenset[str] = _OUR_NAMES) -> OwnkeyError:
    """The first thing wrong with a request's body or query.

    pydantic's messages say what was expected, never what came; ours in `bodies` keep to that.
    """
    first = found[0]
    where, *path = first["loc"]
    whole = not path and first["type"] != "value_error"
    if where == "body" and (whole or (first["type"] in _NOT_JSON and not _named(path, names))):
        return InvalidJson("The body is not a JSON object.")
    if first["type"] == "extra_forbidden":
        return InvalidParameter(
            "The body has a field that is not known here.",
            fix="Leave it out, or correct its name: docs/contracts/management-api.md lists the fields.",
        )
    named = _named(path, names)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidParameter(f"`{named or where}`: {message}.", param=named)


def of_status(status: int) -> OwnkeyError:
    """What the router says: no such path, no such method, a body that cannot be decoded."""
    if status == 404:
        return NotFound("There is no such resource.", fix="Check the path.")
    if status == 405:
        return MethodNotAllowed("This resource does not take that method.", fix="Check the method.")
    return InvalidJson("The body cannot be read.")


def _named(path: Sequence[str | int], names: frozenset[str]) -> str | None:
    """The field's path as far as its names are ours: a name that was sent may be a secret in the wrong place."""
    known: list[str] = []
    for part in path:
        if part not in names:
            break
        known.append(str(part))
    return ".".join(known) or None
