"""The document: what FastAPI knows of the routes, and what the operations' rows add."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ownkey.catalog import Catalog
from ownkey.http.management import ManagementDeps, create_management_app
from ownkey.http.management.access import ACCOUNT_HEADER, Right
from ownkey.upstream import UrlPolicy
from tools.openapi.operations import EXAMPLES, OPERATIONS, Operation, Who
from tools.openapi.schemas import COMPONENTS, STRING, ref

FILE = Path(__file__).parents[2] / "shared/ownkey/http/management/openapi.json"
METHODS = ("get", "put", "post", "patch", "delete")

_DESCRIPTION = """\
Accounts, provider keys, gateway keys, usage and the audit log of an Ownkey deployment.

Every request but the one for this document carries a session: an access token of the deployment's user pool. Which
account is meant, where the path does not say: the header `X-Ownkey-Account`, or `?account=`, or the caller's only one.
An account that the caller does not belong to is answered exactly as one that does not exist."""
_NOT_OURS = ("HTTPValidationErrorBody", "ValidationErrorBody")

Json = dict[str, Any]


class MissingOperationError(Exception):
    """A route has no row, or a row no route; the message names them."""


def build() -> str:
    """The document's text.

    Raises:
        MissingOperationError: the rows and the routes are not the same.
    """
    return json.dumps(document(_app()), separators=(",", ":"), ensure_ascii=False) + "\n"


def document(app: FastAPI) -> Json:
    """The document of an app's routes.

    Raises:
        MissingOperationError: as `build`.
    """
    known = _renamed(get_openapi(title="Ownkey management API", version="1", routes=app.routes))
    found = {(method.upper(), path) for path, methods in known["paths"].items() for method in methods}
    if found != set(OPERATIONS):
        raise MissingOperationError(
            f"routes without a row in tools/openapi/operations.py: {sorted(found - set(OPERATIONS)) or 'none'}; "
            f"rows without a route: {sorted(set(OPERATIONS) - found) or 'none'}"
        )
    paths: Json = {}
    for (method, path), operation in OPERATIONS.items():
        row = known["paths"][path][method.lower()]
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation, row)
    bodies = {_body_name(name): _plain(body) for name, body in known["components"]["schemas"].items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": known["info"]["title"], "version": known["info"]["version"], "description": _DESCRIPTION},
        "servers": [{"url": "..", "description": "Relative to this document: `<stack>/live`."}],
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {"Error": {"description": "Refused, or failed.", "content": _json(ref("Error"))}},
            "schemas": {name: each for name, each in sorted({**bodies, **COMPONENTS}.items()) if name not in _NOT_OURS},
        },
    }


def _app() -> FastAPI:
    """The routes; nothing behind them is ever called."""
    deps: Json = {field.name: None for field in fields(ManagementDeps) if field.default is MISSING}
    return create_management_app(ManagementDeps(**deps | {"catalog": Catalog.load(), "url_policy": UrlPolicy()}))


def _operation(path: str, operation: Operation, row: Json) -> Json:
    described: Json = {
        "operationId": row["operationId"].partition("_api_")[0],
        "tags": [path.split("/")[2]],
        "summary": operation.summary,
        "x-ownkey-right": str(operation.may),
        "parameters": [*map(_parameter, row.get("parameters", ())), *_further_parameters(path, operation)],
        "responses": {
            **{str(status): _answer(operation) for status in sorted((operation.status, *operation.also))},
            "4XX": {"$ref": "#/components/responses/Error"},
            "5XX": {"$ref": "#/components/responses/Error"},
        },
    }
    if operation.may is Who.EVERYBODY:
        described["security"] = []
    if "requestBody" in row:
        described["requestBody"] = _body(row["requestBody"], operation)
    return described


def _body(body: Json, operation: Operation) -> Json:
    schema = _plain(body["content"]["application/json"]["schema"])
    content = {"application/json": {"schema": schema, "example": operation.example}}
    return {"required": body.get("required", False), "content": content}


def _answer(operation: Operation) -> Json:
    headers = {"X-Ownkey-Request-Id": {"schema": STRING}}
    if operation.tagged:
        headers["ETag"] = {"schema": STRING}
    if operation.creates:
        headers["Idempotent-Replayed"] = {"schema": {"type": "string", "const": "true"}}
    content = _json(operation.answer) if "application/jsonl" not in operation.media else {}
    content |= {media: {"schema": STRING} for media in operation.media}
    return {"description": operation.summary, "headers": headers, "content": content}


def _parameter(parameter: Json) -> Json:
    shown: Json = {name: parameter[name] for name in ("name", "in", "required", "description") if name in parameter}
    shown["schema"] = _plain(parameter["schema"])
    if parameter["required"] and parameter["name"] in EXAMPLES:
        shown["example"] = EXAMPLES[parameter["name"]]
    return shown


def _further_parameters(path: str, operation: Operation) -> Iterator[Json]:
    """What routes read from the request themselves."""
    names_account = "{account_id}" in path
    if isinstance(operation.may, Right) and not names_account:
        which = "Which account, for a caller with several, or the operator."
        yield {"name": ACCOUNT_HEADER, "in": "header", "required": False, "description": which, "schema": STRING}
        yield {"name": "account", "in": "query", "required": False, "description": which, "schema": STRING}
    if operation.creates:
        once = "Repeated with the same body within 24 hours, the request is answered with what it made at first."
        limits = {"type": "string", "minLength": 1, "maxLength": 255}
        yield {"name": "Idempotency-Key", "in": "header", "required": False, "description": once, "schema": limits}
    if operation.conditional:
        seen = "The `ETag` that the change was decided on: 412 where it is another by now."
        yield {"name": "If-Match", "in": "header", "required": False, "description": seen, "schema": STRING}


def _plain(schema: Any) -> Any:
    """A schema without the titles that pydantic makes up, and the defaults that stand for absence."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = isinstance(schema.get("properties"), dict)
    shown = {
        name: {each: _plain(value) for each, value in inner.items()}
        if name == "properties" and named
        else _plain(inner)
        for name, inner in schema.items()
        if not (name == "title" and isinstance(inner, str)) and not (name == "default" and inner is None)
    }
    for bound in ("minimum", "maximum"):
        if isinstance(shown.get(bound), float):
            shown[bound] = int(shown[bound])
    return shown


def _body_name(name: str) -> str:
    """What is sent and what is answered may have one name in the code, and may not here."""
    return f"{name}Body"


def _renamed(schema: Any) -> Any:
    """References to bodies under their names here."""
    if isinstance(schema, list):
        return [_renamed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: f"#/components/schemas/{_body_name(inner.rpartition('/')[2])}" if name == "$ref" else _renamed(inner)
        for name, inner in schema.items()
    }


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
