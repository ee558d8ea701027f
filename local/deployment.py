"""What runs: functions, routes, event sources and schedules, read from a translated template whose data exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.intrinsics import Resolver, TemplateError
from local.resources import Physical
from local.template import Json, Template

# The part of a Lambda integration's URI that names the function: .../functions/<arn>/<invocations>.
_INTEGRATION_URI = re.compile(r"/functions/(?P<arn>.+)/(?:response-streaming-)?invocations$")
_FUNCTION_ARN = re.compile(r"^arn:[^:]+:lambda:[^:]+:[^:]+:function:(?P<name>[^:]+)(?::[^:]+)?$")
_HEADER_PREFIX = "gatewayresponse.header."
_DEFAULT_INTEGRATION_TIMEOUT_MS = 29_000


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a role's policies, wildcards and condition keys as IAM has them."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function. `id` is its logical id; `code` and `layers` are folders."""

    id: str
    name: str
    arn: str
    handler: str
    code: Path
    layers: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout_s: float
    memory_mb: int
    snap_start: bool
    statements: tuple[Statement, ...]

    @property
    def access_key(self) -> str:
        """The access key id that stands for the function's role."""
        return f"AKIALOCAL{self.id.upper()}"


@dataclass(frozen=True, slots=True)
class Route:
    """A method of the REST API and the function behind it. `method` is upper case, or `ANY`."""

    path: str
    method: str
    function_id: str
    streamed: bool
    timeout_s: float


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What the template says of an answer that API Gateway makes by itself.

    `headers` values are `'literal'` or `context.<variable>`; `template` may hold `$context.<variable>`.
    """

    status: int | None
    headers: Mapping[str, str]
    template: str | None


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API and its one stage."""

    id: str
    stage: str
    routes: tuple[Route, ...]
    gateway_responses: Mapping[str, GatewayResponse]
    binary_media_types: tuple[str, ...]
    requests_per_s: float | None
    burst: int | None


@dataclass(frozen=True, slots=True)
class StreamMapping:
    """An event source mapping of a DynamoDB stream. `max_retries` and `max_age_s` are None without bound."""

    id: str
    function_id: str
    stream_arn: str
    filters: tuple[Json, ...]
    batch_size: int
    window_s: float
    starts_at_horizon: bool
    reports_item_failures: bool
    bisects: bool
    max_retries: int | None
    max_age_s: float | None
    failure_bucket: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule. `expression` is `rate(...)` or `cron(...)`, in UTC; `payload` None means the service's own event."""

    id: str
    name: str
    function_id: str
    expression: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that runs."""

    functions: Mapping[str, Function]
    apis: tuple[Api, ...]
    stream_mappings: tuple[StreamMapping, ...]
    schedules: tuple[Schedule, ...]


def describe(template: Template, resolver: Resolver, physical: Mapping[str, Physical]) -> Deployment:
    """Reads the deployment.

    Raises:
        TemplateError: something refers to a function that is not in the template.
    """
    functions = {
        logical_id: _function(logical_id, properties, template, resolver, physical)
        for logical_id, properties in template.of_type("AWS::Lambda::Function").items()
    }
    named = {function.name: function.id for function in functions.values()}
    mappings = template.of_type("AWS::Lambda::EventSourceMapping")
    schedules = template.of_type("AWS::Events::Rule", "AWS::Scheduler::Schedule")
    return Deployment(
        functions,
        tuple(_apis(template, resolver, named)),
        tuple(_stream_mapping(id_, resolver.resolve(each), named) for id_, each in mappings.items()),
        tuple(s for id_, each in schedules.items() for s in _schedules(id_, resolver.resolve(each), physical, named)),
    )


def function_name(name_or_arn: str) -> str:
    """The function's name in a name, a `name:qualifier` or an ARN with or without qualifier."""
    match = _FUNCTION_ARN.match(name_or_arn)
    return match["name"] if match else name_or_arn.partition(":")[0]


def _function(
    logical_id: str, properties: Json, template: Template, resolver: Resolver, physical: Mapping[str, Physical]
) -> Function:
    wanted = resolver.resolve(properties)
    layers = {
        physical[layer_id].ref: template.code_directory(layer["Content"])
        for layer_id, layer in template.of_type("AWS::Lambda::LayerVersion").items()
    }
    variables = wanted.get("Environment", {}).get("Variables", {})
    return Function(
        id=logical_id,
        name=physical[logical_id].ref,
        arn=physical[logical_id].attributes["Arn"],
        handler=wanted["Handler"],
        code=template.code_directory(wanted["Code"]),
        layers=tuple(layers[ref] for ref in wanted.get("Layers", [])),
        environment={name: _environment_value(value) for name, value in variables.items()},
        timeout_s=float(wanted.get("Timeout", 3)),
        memory_mb=int(wanted.get("MemorySize", 128)),
        snap_start=wanted.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        statements=tuple(_statements(wanted["Role"], template, resolver, physical)),
    )


def _environment_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _statements(
    role_arn: str, template: Template, resolver: Resolver, physical: Mapping[str, Physical]
) -> Iterable[Statement]:
    for logical_id, properties in template.of_type("AWS::IAM::Role").items():
        if physical[logical_id].attributes["Arn"] != role_arn:
            continue
        for policy in resolver.resolve(properties.get("Policies", [])):
            for statement in _listed(policy["PolicyDocument"]["Statement"]):
                yield Statement(
                    statement["Effect"],
                    tuple(_listed(statement.get("Action", []))),
                    tuple(_listed(statement.get("Resource", []))),
                    statement.get("Condition", {}),
                )


def _apis(template: Template, resolver: Resolver, named: Mapping[str, str]) -> Iterable[Api]:
    stages = [resolver.resolve(stage) for stage in template.of_type("AWS::ApiGateway::Stage").values()]
    for logical_id, properties in template.of_type("AWS::ApiGateway::RestApi").items():
        body = resolver.resolve(properties["Body"])
        stage = next(stage for stage in stages if stage["RestApiId"] == resolver.resolve({"Ref": logical_id}))
        settings: Json = next((s for s in stage.get("MethodSettings", []) if s["ResourcePath"] == "/*"), {})
        rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
        responses = body.get("x-amazon-apigateway-gateway-responses", {})
        yield Api(
            id=logical_id,
            stage=stage["StageName"],
            routes=tuple(_routes(body["paths"], named)),
            gateway_responses={kind: _gateway_response(response) for kind, response in responses.items()},
            binary_media_types=tuple(body.get("x-amazon-apigateway-binary-media-types", [])),
            requests_per_s=None if rate is None else float(rate),
            burst=None if burst is None else int(burst),
        )


def _routes(paths: Json, named: Mapping[str, str]) -> Iterable[Route]:
    for path, methods in paths.items():
        for method, definition in methods.items():
            integration = definition.get("x-amazon-apigateway-integration", {})
            match = _INTEGRATION_URI.search(str(integration.get("uri", "")))
            if not match:
                raise TemplateError(f"{method} {path} is not a Lambda integration; the local stack serves no other.")
            yield Route(
                path=path,
                method="ANY" if method == "x-amazon-apigateway-any-method" else method.upper(),
                function_id=_known(match["arn"], named),
                streamed=integration.get("responseTransferMode") == "STREAM",
                timeout_s=integration.get("timeoutInMillis", _DEFAULT_INTEGRATION_TIMEOUT_MS) / 1000,
            )


def _gateway_response(definition: Json) -> GatewayResponse:
    status = definition.get("statusCode")
    return GatewayResponse(
        status=None if status is None else int(status),
        headers={
            name.removeprefix(_HEADER_PREFIX): value for name, value in definition.get("responseParameters", {}).items()
        },
        template=definition.get("responseTemplates", {}).get("application/json"),
    )


def _stream_mapping(logical_id: str, wanted: Json, named: Mapping[str, str]) -> StreamMapping:
    destination = wanted.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if destination is not None and not destination.startswith("arn:aws:s3:::"):
        raise TemplateError(f"{logical_id}: the local stack sends failed batches to S3 only.")
    return StreamMapping(
        id=logical_id,
        function_id=_known(wanted["FunctionName"], named),
        stream_arn=wanted["EventSourceArn"],
        filters=tuple(json.loads(f["Pattern"]) for f in wanted.get("FilterCriteria", {}).get("Filters", [])),
        batch_size=int(wanted.get("BatchSize", 100)),
        window_s=float(wanted.get("MaximumBatchingWindowInSeconds", 0)),
        starts_at_horizon=wanted["StartingPosition"] == "TRIM_HORIZON",
        reports_item_failures="ReportBatchItemFailures" in wanted.get("FunctionResponseTypes", []),
        bisects=bool(wanted.get("BisectBatchOnFunctionError", False)),
        max_retries=_bound(wanted.get("MaximumRetryAttempts", -1)),
        max_age_s=_bound(wanted.get("MaximumRecordAgeInSeconds", -1)),
        failure_bucket=destination.removeprefix("arn:aws:s3:::") if destination else None,
    )


def _schedules(
    logical_id: str, wanted: Json, physical: Mapping[str, Physical], named: Mapping[str, str]
) -> Iterable[Schedule]:
    if "ScheduleExpression" not in wanted or wanted.get("State", "ENABLED") != "ENABLED":
        return
    for target in wanted.get("Targets", []) or [wanted["Target"]]:
        payload = json.loads(target["Input"]) if "Input" in target else None
        function_id = _known(target["Arn"], named)
        yield Schedule(logical_id, physical[logical_id].ref, function_id, wanted["ScheduleExpression"], payload)


def _known(name_or_arn: str, named: Mapping[str, str]) -> str:
    try:
        return named[function_name(name_or_arn)]
    except KeyError:
        raise TemplateError(f"{name_or_arn} is not a function of this template.") from None


def _bound(value: Any) -> int | None:
    return None if int(value) < 0 else int(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
