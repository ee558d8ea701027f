"""The API as CloudFormation gets it: streamed inference, buffered management, our own error bodies, secretless logs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from starlette.routing import Route

from ownkey.domain.errors import NotFound, RequestTooLarge
from ownkey.http.inference import create_inference_app
from tests.template.translation import resources, source, translated

STREAMED_ROUTES = {
    "/v1/{proxy+}",
    "/api/v1/{proxy+}",
    "/chat/{proxy+}",
    "/messages",
    "/messages/{proxy+}",
    "/responses",
    "/embeddings",
    "/rerank",
    "/v2/rerank",
    "/moderations",
    "/images/{proxy+}",
    "/audio/{proxy+}",
    "/models",
    "/models/{proxy+}",
    "/key",
    "/generation",
    "/credits",
}
BUFFERED_ROUTES = {"/api/{proxy+}"}
WEBHOOK = "/payments/stripe"

MADE_BY_API_GATEWAY = {"$context.requestId", "$context.error.responseType"}
"""Variables whose values no client can choose: nothing of a request can break out of the JSON or come back in it."""


def api() -> dict[str, Any]:
    return resources("AWS::ApiGateway::RestApi")["Api"]


def integrations() -> dict[str, dict[str, Any]]:
    paths = {path: methods for path, methods in api()["Body"]["paths"].items() if path != WEBHOOK}
    assert all(set(methods) == {"x-amazon-apigateway-any-method"} for methods in paths.values())
    return {
        path: methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        for path, methods in paths.items()
    }


def test_every_route_is_named_here() -> None:
    assert set(integrations()) == STREAMED_ROUTES | BUFFERED_ROUTES


def test_what_the_app_answers_without_a_prefix_is_routed() -> None:
    paths = {route.path for route in create_inference_app(None).router.routes if isinstance(route, Route)}
    bare = {path for path in paths if not path.startswith(("/v1/", "/api/v1/"))}
    patterns = [re.compile(each.replace("{proxy+}", ".+")) for each in STREAMED_ROUTES]
    assert bare
    assert [path for path in bare if not any(each.fullmatch(path) for each in patterns)] == []


@pytest.mark.parametrize("path", sorted(STREAMED_ROUTES))
def test_inference_is_streamed_for_up_to_fifteen_minutes(path: str) -> None:
    integration = integrations()[path]
    uri = integration["uri"]["Fn::Sub"]
    assert ":lambda:path/2021-11-15/functions/" in uri
    assert uri.endswith("/response-streaming-invocations")
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["timeoutInMillis"] == 900_000


@pytest.mark.parametrize("path", sorted(STREAMED_ROUTES))
def test_inference_routes_call_the_alias_which_is_what_snapstart_serves(path: str) -> None:
    assert "${InferenceFunctionAliaslive}" in integrations()[path]["uri"]["Fn::Sub"]


@pytest.mark.parametrize("path", sorted(BUFFERED_ROUTES))
def test_management_is_buffered(path: str) -> None:
    integration = integrations()[path]
    assert integration["uri"]["Fn::Sub"].endswith("functions/${KeysFunction.Arn}/invocations")
    assert "responseTransferMode" not in integration
    assert integration["timeoutInMillis"] == 29_000


def test_the_webhook_is_there_where_payments_are() -> None:
    condition, methods, otherwise = api()["Body"]["paths"][WEBHOOK]["Fn::If"]
    assert (condition, otherwise) == ("WithPayments", {"Ref": "AWS::NoValue"})
    ((method, (condition, definition, otherwise)),) = ((name, each["Fn::If"]) for name, each in methods.items())
    assert (method, condition, otherwise) == ("post", "WithPayments", {"Ref": "AWS::NoValue"})
    integration = definition["x-amazon-apigateway-integration"]
    assert integration["uri"]["Fn::If"][1]["Fn::Sub"].endswith("functions/${PaymentsFunction.Arn}/invocations")
    assert integration["timeoutInMillis"] == 15_000
    # Or the stage would keep the routes of the deployment before the parameter was set.
    assert "AlwaysDeploy: true" in source()


def test_a_function_lives_as_long_as_its_route_waits() -> None:
    functions = resources("AWS::Lambda::Function")
    assert functions["InferenceFunction"]["Timeout"] * 1000 == 900_000
    assert functions["KeysFunction"]["Timeout"] * 1000 == 29_000


def test_the_endpoint_is_regional_because_an_edge_one_cuts_silent_streams_at_30_s() -> None:
    assert api()["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_there_is_one_stage() -> None:
    stages = resources("AWS::ApiGateway::Stage")
    assert [stage["StageName"] for stage in stages.values()] == ["live"]


def test_only_files_arrive_in_base64() -> None:
    assert api()["Body"]["x-amazon-apigateway-binary-media-types"] == ["multipart/form-data"]


# ---------------------------------------------------------------- gateway responses


def gateway_responses() -> dict[str, dict[str, Any]]:
    return api()["Body"]["x-amazon-apigateway-gateway-responses"]


def body_of(response: dict[str, Any]) -> dict[str, Any]:
    (template,) = response["responseTemplates"].values()
    return json.loads(re.sub(r"\$context(\.[a-zA-Z]+)+", "VALUE", template))


GATEWAY_RESPONSES = {
    "MISSING_AUTHENTICATION_TOKEN": "404",
    "REQUEST_TOO_LARGE": "413",
    "THROTTLED": "429",
    "INTEGRATION_FAILURE": "504",
    "INTEGRATION_TIMEOUT": "504",
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
}


def test_what_api_gateway_answers_by_itself_is_all_ours() -> None:
    """A default's status must stay open: API Gateway would give it to every kind that is not named."""
    assert {kind: each.get("statusCode") for kind, each in gateway_responses().items()} == GATEWAY_RESPONSES


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_a_gateway_response_has_our_error_body_in_both_dialects(kind: str) -> None:
    body = body_of(gateway_responses()[kind])
    assert body.keys() == {"type", "error", "request_id"}
    assert body["type"] == "error"
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code", "metadata"}
    assert error["param"] is None
    assert error["metadata"]["source"] == "gateway"
    assert error["metadata"]["fix"].endswith(".")


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_a_gateway_response_repeats_nothing_of_the_request(kind: str) -> None:
    (template,) = gateway_responses()[kind]["responseTemplates"].values()
    assert set(re.findall(r"\$[a-zA-Z.]+", template)) <= MADE_BY_API_GATEWAY


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_a_gateway_response_names_its_request_and_is_not_cached(kind: str) -> None:
    headers = {
        name.removeprefix("gatewayresponse.header."): value
        for name, value in gateway_responses()[kind]["responseParameters"].items()
    }
    assert headers["X-Ownkey-Request-Id"] == headers["x-request-id"] == headers["request-id"] == "context.requestId"
    assert headers["Cache-Control"] == "'no-store'"
    # Clients either learn when to come back or that they need not: never both.
    assert ("Retry-After" in headers) != ("x-should-retry" in headers)


def test_gateway_responses_use_the_codes_and_fixes_of_the_functions() -> None:
    too_large = body_of(gateway_responses()["REQUEST_TOO_LARGE"])["error"]
    assert (too_large["code"], too_large["metadata"]["fix"]) == (RequestTooLarge.code, RequestTooLarge.default_fix)
    assert body_of(gateway_responses()["MISSING_AUTHENTICATION_TOKEN"])["error"]["code"] == NotFound.code


# ---------------------------------------------------------------- logs and limits


def test_access_logs_are_json_and_hold_no_secret() -> None:
    stage = resources("AWS::ApiGateway::Stage")["ApiliveStage"]
    condition, setting, otherwise = stage["AccessLogSetting"]["Fn::If"]
    assert (condition, otherwise) == ("WithApiLogs", {"Ref": "AWS::NoValue"})
    fields = json.loads(setting["Format"])
    # A key can stand in a header, in a query string or (misplaced) in the path: no variable logged holds any of them.
    variables = {each.removeprefix("$context.") for each in fields.values()}
    assert len(variables) == len(fields)
    assert not [each for each in variables if re.match(r"path|header|query|identity\.(?!sourceIp)|authorize", each)]
    assert fields["transfer_mode"] == "$context.integration.responseTransferMode"
    assert fields["time_to_headers_ms"] == "$context.integration.timeToAllHeaders"
    assert fields["time_to_first_content_ms"] == "$context.integration.timeToFirstContent"


def test_api_gateways_own_execution_log_which_would_hold_bodies_is_off() -> None:
    (settings,) = resources("AWS::ApiGateway::Stage")["ApiliveStage"]["MethodSettings"]
    assert (settings["LoggingLevel"], settings["DataTraceEnabled"]) == ("OFF", False)


def test_the_stage_is_throttled_by_parameters() -> None:
    (settings,) = resources("AWS::ApiGateway::Stage")["ApiliveStage"]["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "RequestBurst"}


def test_the_api_waits_for_the_regions_log_role() -> None:
    assert translated()["Resources"]["Api"]["DependsOn"] == "ApiAccount"


def test_the_word_that_looks_like_streaming_and_is_not_stays_out() -> None:
    assert "ResponseTransferMode: STREAM" not in source()
