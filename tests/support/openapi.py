"""The management API's own document, as tests use it: its operations, requests for each, and whether answers fit it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry as Schemas
from referencing import Resource
from referencing.jsonschema import DRAFT202012

from tools.openapi.document import FILE
from tools.openapi.operations import EXAMPLES

Json = dict[str, Any]

ACCOUNT = "account_id"
ROLES_PAGE = Path(__file__).parents[2] / "docs/contracts/management-api.md"
_DOCUMENT = "urn:openapi"
_ERROR = f'{{"$ref": "{_DOCUMENT}#/components/schemas/Error"}}'


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    row: Json

    @property
    def may(self) -> str:
        """The right that it asks for, or who may call it."""
        return str(self.row["x-ownkey-right"])

    @property
    def places(self) -> list[str]:
        """Parameters that must be there: of the path, and of the query."""
        return [each["name"] for each in self.row["parameters"] if each["required"]]

    @property
    def resources(self) -> list[str]:
        """Those of them that name something in an account."""
        return [name for name in self.places if name not in (ACCOUNT, "provider")]

    @property
    def names_account_beside(self) -> bool:
        """Whether the account is named in a header or the query."""
        return any(each["name"] == "account" for each in self.row["parameters"])

    def takes(self, header: str) -> bool:
        """Whether a header is among its parameters."""
        return any(each["in"] == "header" and each["name"] == header for each in self.row["parameters"])

    def request(self, values: Mapping[str, str], account_id: str | None = None) -> Json:
        """What `Management.call` takes, with these values in its places."""
        path, query = self.path, {}
        for name in self.places:
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", values[name])
            else:
                query[name] = values[name]
        wanted: Json = {"method": self.method, "path": path, "params": query, "headers": {}}
        if self.names_account_beside and account_id is not None:
            wanted["headers"]["x-ownkey-account"] = account_id
        if "requestBody" in self.row:
            wanted["json"] = self._body(values)
        return wanted

    def _body(self, values: Mapping[str, str]) -> Any:
        """The example; of an id in it, this one."""
        text = json.dumps(self.row["requestBody"]["content"]["application/json"]["example"])
        for name in self.places:
            text = text.replace(f'"{EXAMPLES[name]}"', json.dumps(values[name]))
        return json.loads(text)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def document() -> Json:
    """The document that the package has."""
    found: Json = json.loads(FILE.read_text())
    return found


def operations(described: Json | None = None) -> list[Operation]:
    """Its operations, in their order."""
    paths = (described or document())["paths"]
    return [Operation(method.upper(), path, row) for path, rows in paths.items() for method, row in rows.items()]


def role_table() -> dict[str, dict[str, bool]]:
    """The table of docs/contracts/management-api.md: right → who (`owner`, …, `operator, in `platform``) → whether."""
    rows = [line.strip("| ").split(" | ") for line in ROLES_PAGE.read_text().splitlines() if line.startswith("| ")]
    header = next(cells for cells in rows if cells[0] == "may")
    table = {
        cells[0]: dict(zip(header[1:], cells[1:], strict=True))
        for cells in rows
        if len(cells) == len(header) and cells[0] != header[0]
    }
    return {right: {who: cell == "yes" for who, cell in who_may.items()} for right, who_may in table.items()}


def check_answer(response: httpx.Response) -> None:
    """Fails where an answer is not as the document says: a field more, a field less, another kind."""
    operation = _operation(response.request.method, response.request.url.path)
    if response.is_error or operation is None:
        assert response.is_error, response.request.url
        _check(response.json(), _ERROR, "an error")
        return
    described = operation.row["responses"].get(str(response.status_code))
    assert described is not None, f"{operation} answers {response.status_code}"
    for header in ("ETag", "Idempotent-Replayed"):
        assert header in described["headers"] or header not in response.headers, f"{operation}: {header}"
    assert "ETag" not in described["headers"] or "ETag" in response.headers, f"{operation}: no ETag"
    media = response.headers["content-type"].partition(";")[0]
    assert media in described["content"], f"{operation} answers {media}"
    if media == "application/json":
        schema = json.dumps(described["content"][media]["schema"]).replace('"#/', f'"{_DOCUMENT}#/')
        _check(response.json(), schema, str(operation))


def _check(body: Any, schema: str, what: str) -> None:
    errors = sorted(_validator(schema).iter_errors(body), key=lambda error: len(error.absolute_path))
    assert not errors, f"{what}: {errors[0].json_path}: {errors[0].message}"


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(_closed(json.loads(schema)), registry=_schemas())


@cache
def _schemas() -> Schemas:
    resource = Resource.from_contents(_closed(document()), default_specification=DRAFT202012)
    return Schemas().with_resource(_DOCUMENT, resource)


def _closed(schema: Any) -> Any:
    """Objects with no other fields than those that are described. The document itself leaves room for more."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if "properties" in closed and isinstance(closed["properties"], dict) and closed.get("type") is not None:
        closed.setdefault("additionalProperties", False)
    return closed


def _operation(method: str, path: str) -> Operation | None:
    """Literal paths before those with places."""
    return next((each for each, pattern in _patterns() if each.method == method and pattern.fullmatch(path)), None)


@cache
def _patterns() -> list[tuple[Operation, re.Pattern[str]]]:
    return sorted(_compiled(), key=lambda pair: pair[0].path.count("{"))


def _compiled() -> Iterator[tuple[Operation, re.Pattern[str]]]:
    for each in operations():
        yield each, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(each.path)))
