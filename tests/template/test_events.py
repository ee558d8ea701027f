"""The examples under events/: each is what its function really takes, and holds nothing that looks like a secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.gateway_keys import present
from ownkey.http.management import bodies
from ownkey.ledger.records import Deposit
from ownkey.ledger.stream import read_record
from ownkey.runtime.api import Invocation
from ownkey.runtime.events import EventReader
from ownkey.validation.candidate import Candidate
from tests.template.translation import FUNCTIONS, ROOT, resources

EVENTS = ROOT / "events"
ALL = sorted(EVENTS.rglob("*.json"))


def of(function: str) -> list[Path]:
    return [path for path in ALL if path.parent.name == function]


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_every_function_has_an_example_and_every_example_a_function() -> None:
    assert {path.parent.name for path in ALL} == set(FUNCTIONS)


@pytest.mark.parametrize("path", ALL, ids=named)
def test_no_example_holds_a_key_of_a_provider_or_of_aws(path: Path) -> None:
    assert not re.search(r"sk-[\w-]{8}|AKIA[0-9A-Z]{8}|AIza[\w-]{8}|eyJ[\w-]{8}", path.read_text())


# ---------------------------------------------------------------- over HTTP

HTTP = [*of("inference"), *of("keys")]


@pytest.mark.parametrize("path", HTTP, ids=named)
def test_an_http_example_comes_from_a_route_of_its_function(path: Path) -> None:
    event = load(path)
    routes = resources("AWS::ApiGateway::RestApi")["Api"]["Body"]["paths"]
    integration = routes[event["resource"]]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    assert f"{path.parent.name.capitalize()}Function" in integration["uri"]["Fn::Sub"]
    assert re.fullmatch(event["resource"].replace("{proxy+}", ".+"), event["path"])
    assert event["requestContext"]["path"] == f"/{event['requestContext']['stage']}{event['path']}"
    assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}


@pytest.mark.parametrize("path", HTTP, ids=named)
async def test_an_http_example_is_read_by_the_runtime(path: Path) -> None:
    event = load(path)
    invocation = Invocation("id", path.read_bytes(), 0, "arn", "", "")
    request = EventReader({}).read(invocation)
    assert (request.scope["method"], request.scope["path"]) == (event["httpMethod"], event["path"])
    assert request.body.decode() == (event["body"] or "")


@pytest.mark.parametrize("path", of("inference"), ids=named)
def test_an_inference_example_asks_for_a_known_model_with_a_well_formed_gateway_key(path: Path) -> None:
    event = load(path)
    if event["body"]:
        assert Catalog.load().providers_of(json.loads(event["body"])["model"])
    key = event["headers"].get("x-api-key") or event["headers"].get("Authorization", "").removeprefix("Bearer ")
    assert bool(key) == (path.stem != "no-gateway-key")
    assert not key or present(key)


@pytest.mark.parametrize(
    "name, body",
    [
        ("create-credential", bodies.CreateCredential),
        ("set-provider-keys", bodies.ProviderKeys),
        ("create-gateway-key", bodies.CreateGatewayKey),
    ],
)
def test_a_management_example_has_a_valid_body(name: str, body: type[bodies.Body]) -> None:
    body.model_validate_json(load(EVENTS / "keys" / f"{name}.json")["body"])


# ---------------------------------------------------------------- the others


def test_the_validation_example_is_a_sealed_candidate() -> None:
    event = load(EVENTS / "validation" / "validate.json")
    assert Candidate.from_json(event).to_json() == event


def matches(pattern: dict[str, Any], value: object) -> bool:
    """Lambda's filter rules, as far as the template uses them: equal to one of, or absent."""
    for key, wanted in pattern.items():
        inner = value.get(key) if isinstance(value, dict) else None
        if isinstance(wanted, dict):
            if not matches(wanted, inner):
                return False
        elif wanted == [{"exists": False}]:
            if inner is not None:
                return False
        elif inner not in wanted:
            return False
    return True


def passes_the_filter(record: dict[str, Any]) -> bool:
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    (each,) = mapping["FilterCriteria"]["Filters"]
    return matches(json.loads(each["Pattern"]), record)


@pytest.mark.parametrize("name, kind", [("ended-attempts", AttemptRecord), ("deposit", Deposit)])
def test_a_billing_example_passes_the_streams_filter_and_is_counted(name: str, kind: type) -> None:
    for record in load(EVENTS / "billing" / f"{name}.json")["Records"]:
        assert passes_the_filter(record)
        assert isinstance(read_record(record), kind)


@pytest.mark.parametrize("change", [{"state": {"S": "started"}}, {"billed_at": {"S": "2026-11-21T09:30:01.000Z"}}])
def test_what_is_not_to_be_billed_does_not_pass_the_filter(change: dict[str, Any]) -> None:
    record = load(EVENTS / "billing" / "ended-attempts.json")["Records"][0]
    record["dynamodb"]["NewImage"] |= change
    assert not passes_the_filter(record)
    assert read_record(record) is None


def test_a_removed_record_does_not_pass_the_filter() -> None:
    record = load(EVENTS / "billing" / "ended-attempts.json")["Records"][0]
    del record["dynamodb"]["NewImage"]
    assert not passes_the_filter(record)


def test_the_upkeep_examples_are_what_its_schedules_send() -> None:
    targets = [target for rule in resources("AWS::Events::Rule").values() for target in rule["Targets"]]
    sent = {json.loads(target["Input"])["task"]: json.loads(target["Input"]) for target in targets}
    assert {path.stem: load(path) for path in (EVENTS / "upkeep").iterdir()} == sent
