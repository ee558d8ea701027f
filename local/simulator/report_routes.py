"""The vendors' reports over HTTP: with admin keys, which do no inference, and of nothing that was not served."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.simulator import reports
from local.simulator.bedrock_probe import BadSignature, check_signature
from local.simulator.dialects import bearer
from local.simulator.keys import MODELS
from local.simulator.probe_call import ProbeCall

if TYPE_CHECKING:
    from local.simulator.app import Simulator

ADMIN_KEYS: Mapping[str, re.Pattern[str]] = {
    "openai": re.compile(r"sk-admin-sim-[\w-]+"),
    "anthropic": re.compile(r"sk-ant-admin01-sim-[\w-]+"),
}
_PROJECT = "proj_sim"
_COST_EXPLORER = "ce.us-east-1.amazonaws.com"
Json = dict[str, Any]


def report_routes(simulator: Simulator) -> list[web.RouteDef]:
    """The routes of the three reports."""
    openai, anthropic = _OpenAi(simulator), _Anthropic(simulator)
    return [
        web.get("/openai/v1/organization/{tail:.*}", openai.serve),
        web.get("/anthropic/v1/organizations/{tail:.*}", anthropic.serve),
        web.post(f"/bedrock/v1/{_COST_EXPLORER}/", _cost_explorer(simulator)),
    ]


class _OpenAi:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def serve(self, request: web.Request) -> web.Response:
        """One question."""
        entries, bill = self._simulator.journal.entries("openai"), self._simulator.bill
        key = bearer(request.headers)
        if not _admitted(self._simulator, "openai", key):
            error = {
                "message": "Incorrect API key provided.",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
            return web.json_response({"error": error}, status=401)
        tail, query = request.match_info["tail"], request.query
        pages: dict[str, Callable[[reports.Bucket], Json]] = {
            "usage/completions": lambda bucket: reports.openai_usage(entries, bucket, embeddings=False),
            "usage/embeddings": lambda bucket: reports.openai_usage(entries, bucket, embeddings=True),
            "costs": lambda bucket: reports.openai_costs(bill, bucket),
        }
        if tail in pages:
            start = datetime.fromtimestamp(int(query["start_time"]), UTC)
            end = datetime.fromtimestamp(int(query["end_time"]), UTC) if "end_time" in query else None
            days, after = reports.buckets(start, end, int(query.get("limit", 7)), query.get("page"))
            data = [pages[tail](day) for day in days]
            return web.json_response(
                {"object": "page", "data": data, "has_more": after is not None, "next_page": after}
            )
        if tail == "projects":
            row = {"id": _PROJECT, "object": "organization.project", "name": "sim", "created_at": 1_700_000_000}
            return web.json_response(_list([{**row, "status": "active"}]))
        if tail == f"projects/{_PROJECT}/api_keys":
            rows = [reports.openai_key(*each) for each in sorted(reports.keys_seen(entries).items())]
            return web.json_response(_after(rows, query.get("after"), int(query.get("limit", 20))))
        return web.json_response({"error": {"message": "Not found", "type": "invalid_request_error"}}, status=404)


class _Anthropic:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def serve(self, request: web.Request) -> web.Response:
        """One question."""
        entries, bill = self._simulator.journal.entries("anthropic"), self._simulator.bill
        if not _admitted(self._simulator, "anthropic", request.headers.get("x-api-key")):
            return _anthropic_error(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return _anthropic_error(400, "invalid_request_error", "anthropic-version: header is required")
        tail, query = request.match_info["tail"], request.query
        pages: dict[str, Callable[[reports.Bucket], Json]] = {
            "usage_report/messages": lambda bucket: reports.anthropic_usage(entries, bucket),
            "cost_report": lambda bucket: reports.anthropic_costs(bill, bucket),
        }
        if tail in pages:
            start = datetime.fromisoformat(query["starting_at"])
            end = datetime.fromisoformat(query["ending_at"]) if "ending_at" in query else None
            days, after = reports.buckets(start, end, int(query.get("limit", 7)), query.get("page"))
            data = [pages[tail](day) for day in days]
            return web.json_response({"data": data, "has_more": after is not None, "next_page": after})
        if tail == "api_keys":
            rows = [reports.anthropic_key(*each) for each in sorted(reports.keys_seen(entries).items())]
            return web.json_response(_after(rows, query.get("after_id"), int(query.get("limit", 20))))
        return _anthropic_error(404, "not_found_error", "Not found")


def _cost_explorer(simulator: Simulator) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.Response:
        call = ProbeCall(
            host=_COST_EXPLORER,
            tail="",
            method=request.method,
            path=request.raw_path,
            headers=request.headers,
            body=await request.read(),
            now_s=simulator.keys.clock(),
        )
        try:
            check_signature(call, "us-east-1", "ce")
        except BadSignature as e:
            return web.json_response({"__type": e.code, "message": str(e)}, status=400)
        if request.headers.get("x-amz-target") != "AWSInsightsIndexService.GetCostAndUsage":
            return web.json_response({"__type": "UnknownOperationException"}, status=400)
        period = json.loads(call.body)["TimePeriod"]
        answer = reports.cost_and_usage(simulator.bill, period["Start"], period["End"])
        return web.json_response(answer, content_type="application/x-amz-json-1.1")

    return serve


def _admitted(simulator: Simulator, provider: str, key: str | None) -> bool:
    return key is not None and not simulator.keys.state(provider, key, ADMIN_KEYS[provider]).refuses(MODELS)


def _after(rows: list[Json], after: str | None, limit: int) -> Json:
    ids = [row["id"] for row in rows]
    start = ids.index(after) + 1 if after in ids else 0
    return _list(rows[start : start + limit], more=len(rows) > start + limit)


def _list(rows: list[Json], *, more: bool = False) -> Json:
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {"first_id": None, "last_id": None}
    return {"object": "list", "data": rows, **ends, "has_more": more}


def _anthropic_error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"type": kind, "message": message}}, status=status)
