"""Providers' reports in their documented shapes: read by the vendors' own types where those exist, and by ours."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import pytest
from anthropic.types.organization.api_key import APIKey
from botocore.validate import validate_parameters
from openai.types.admin.organization.projects.project_api_key import ProjectAPIKey
from openai.types.admin.organization.usage_completions_response import UsageCompletionsResponse
from openai.types.admin.organization.usage_costs_response import UsageCostsResponse

from ownkey.domain.reconciliation import Charge, ProviderKey, ReportLine
from ownkey.domain.usage import Usage
from ownkey.providers.reports import Period, UnreadableReport, report_of

FIXTURES = Path(__file__).parent / "fixtures" / "reports"
PERIOD = Period(date(2026, 11, 19), date(2026, 11, 20))
DAY = "2026-11-20"


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def asked(api: str, place: dict[str, Any]) -> tuple[str, dict[str, list[str]]]:
    """Path and query of a question."""
    parts = urlsplit(report_of(api).question(place, PERIOD).path)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query):
        query.setdefault(name, []).append(value)
    return parts.path, query


class TestOpenAi:
    def test_usage(self) -> None:
        body = fixture("openai_usage_completions")
        theirs = UsageCompletionsResponse.model_validate_json(body, strict=True).data[0].results
        answered = report_of("openai").read({"part": "completions"}, body)
        one, two = answered.lines
        assert one == ReportLine(
            "2026-11-19", "key_one", "gpt-4o-mini-2024-07-18", Usage(input=200, cache_read=800, output=500), 5
        )
        # Every token is in one bucket, and none in two: the sums are the vendor's own.
        assert [(line.usage.input_tokens, line.usage.output_tokens) for line in (one, two)] == [
            (each.input_tokens, each.output_tokens) for each in theirs
        ]
        assert (two.usage.cache_write_5m, two.usage.cache_write_1h, two.usage.audio_output) == (1000, 300, 60)
        assert answered.place == {"part": "completions", "page": "page_AAAAAGdGxdEiJdKOAAAAAGcqsYA="}

    def test_costs(self) -> None:
        body = fixture("openai_costs")
        UsageCostsResponse.model_validate_json(body, strict=True)
        answered = report_of("openai").read({"part": "costs"}, body)
        assert answered.charges == (
            Charge("2026-11-19", "key_one", 60_000_000, "gpt-4o-mini, input_tokens"),
            Charge("2026-11-19", None, 12_500, "image models"),
        )
        assert answered.place == {"part": "projects"}

    def test_keys_of_every_project(self) -> None:
        report, body = report_of("openai"), fixture("openai_project_api_keys")
        ProjectAPIKey.model_validate(json.loads(body)["data"][0])
        listed = json.dumps({"data": [{"id": "p1"}, {"id": "p2"}], "has_more": True, "last_id": "p2"}).encode()
        place = report.read({"part": "projects"}, listed).place
        assert place is not None
        assert asked("openai", place)[0] == "/organization/projects/p1/api_keys"
        answered = report.read(place, body)
        assert answered.keys == (ProviderKey("key_one", "sk-abc...def0", "My API Key"),)
        assert answered.place is not None
        assert asked("openai", answered.place)[0] == "/organization/projects/p2/api_keys"
        last = report.read(answered.place, body).place
        assert last is not None
        assert asked("openai", last) == (
            "/organization/projects",
            {"limit": ["100"], "after": ["p2"], "include_archived": ["true"]},
        )

    def test_questions(self) -> None:
        path, query = asked("openai", {"part": "completions", "page": "page_2"})
        assert path == "/organization/usage/completions"
        assert query == {
            "start_time": ["1795046400"],
            "end_time": ["1795219200"],
            "bucket_width": ["1d"],
            "group_by": ["api_key_id", "model"],
            "limit": ["31"],
            "page": ["page_2"],
        }


class TestAnthropic:
    def test_usage(self) -> None:
        answered = report_of("anthropic").read({"part": "messages"}, fixture("anthropic_usage_messages"))
        usage = Usage(input=1500, cache_read=200, cache_write_5m=500, cache_write_1h=1000, output=500, web_searches=10)
        assert answered.lines == (
            ReportLine(DAY, "apikey_01", "claude-haiku-4-5-20251001", usage),
            ReportLine(DAY, None, "claude-haiku-4-5-20251001", Usage(input=7, output=3)),
        )
        assert answered.place == {"part": "messages", "page": "page_MjAyNS0wNS0xNFQwMDowMDowMFo="}

    def test_costs_are_cents(self) -> None:
        answered = report_of("anthropic").read({"part": "costs"}, fixture("anthropic_cost_report"))
        (charge,) = answered.charges
        assert (charge.day, charge.api_key_id, charge.amount_nanousd) == (DAY, None, 1_237_891_200)
        assert answered.place == {"part": "keys"}

    def test_keys(self) -> None:
        body = fixture("anthropic_api_keys")
        APIKey.model_validate(json.loads(body)["data"][0])
        answered = report_of("anthropic").read({"part": "keys"}, body)
        assert answered.keys == (ProviderKey("apikey_01", "sk-ant-api03-R2D...igAA", "Developer Key"),)
        assert answered.place == {"part": "keys", "after": "apikey_01"}
        assert asked("anthropic", answered.place) == (
            "/organizations/api_keys",
            {"limit": ["100"], "after_id": ["apikey_01"]},
        )

    def test_questions(self) -> None:
        path, query = asked("anthropic", {"part": "messages"})
        assert path == "/organizations/usage_report/messages"
        assert query == {
            "starting_at": ["2026-11-19T00:00:00Z"],
            "ending_at": ["2026-11-21T00:00:00Z"],
            "bucket_width": ["1d"],
            "group_by[]": ["api_key_id", "model"],
            "limit": ["31"],
        }


class TestCostExplorer:
    def test_the_bill_of_one_service_however_it_is_called(self) -> None:
        answered = report_of("cost_explorer").read({"part": "costs"}, fixture("cost_explorer"))
        assert [(each.day, each.api_key_id, each.amount_nanousd) for each in answered.charges] == [
            (DAY, None, 20_000),
            (DAY, None, 1_500_000_000),
        ]
        assert answered.place == {"part": "costs", "page": "AAA"}

    def test_the_question_is_one_that_botocore_would_send(self) -> None:
        question = report_of("cost_explorer").question({"part": "costs", "page": "AAA"}, PERIOD)
        model = botocore.session.get_session().get_service_model("ce").operation_model("GetCostAndUsage")
        body = json.loads(question.body)
        validate_parameters(body, model.input_shape)
        assert body["TimePeriod"] == {"Start": "2026-11-19", "End": "2026-11-21"}
        assert question.headers["x-amz-target"] == f"{model.service_model.metadata['targetPrefix']}.{model.name}"
        assert (question.method, question.path) == (model.http["method"], model.http["requestUri"])


EURO, WORD = {"value": 1, "currency": "eur"}, {"value": "x", "currency": "usd"}
BROKEN: list[tuple[str, dict[str, Any], Any]] = [
    ("openai", {"part": "completions"}, []),
    ("openai", {"part": "completions"}, {"object": "page"}),
    ("openai", {"part": "completions"}, {"data": [], "has_more": True}),
    ("openai", {"part": "completions", "page": "p"}, {"data": [], "has_more": True, "next_page": "p"}),
    (
        "openai",
        {"part": "costs"},
        {"data": [{"start_time": 0, "results": [{"amount": {"value": 1, "currency": "eur"}}]}]},
    ),
    (
        "openai",
        {"part": "costs"},
        {"data": [{"start_time": 0, "results": [{"amount": {"value": "x", "currency": "usd"}}]}]},
    ),
    ("openai", {"part": "projects"}, {"data": [{}]}),
    ("anthropic", {"part": "messages"}, {"data": [{"results": []}]}),
    ("anthropic", {"part": "costs"}, {"data": [{"starting_at": "2026-11-20T00:00:00Z", "results": [{"amount": "1"}]}]}),
    ("anthropic", {"part": "keys"}, {"data": [], "has_more": True, "last_id": None}),
    ("cost_explorer", {"part": "costs"}, {"ResultsByTime": [{"Groups": []}]}),
    ("cost_explorer", {"part": "costs"}, {"ResultsByTime": [{"TimePeriod": {"Start": DAY}, "Groups": [{"Keys": []}]}]}),
]


@pytest.mark.parametrize(("api", "place", "page"), BROKEN)
def test_what_is_no_page_of_the_report_is_never_taken_for_zero(api: str, place: dict[str, Any], page: Any) -> None:
    with pytest.raises(UnreadableReport):
        report_of(api).read(place, json.dumps(page).encode())
