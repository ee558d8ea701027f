"""`GET /v1/generation` and `GET /v1/credits`: what a request came to, and what is left, to whoever holds a gateway key.

Both in OpenRouter's shapes (https://openrouter.ai/docs/api-reference/get-a-generation, …/get-credits), where money is a
number; `attempts` is ours, and has it as decimal strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs

from ownkey.catalog import Catalog
from ownkey.domain.attempts import AttemptEnd, AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import InvalidParameter, NotFound
from ownkey.domain.money import usd_number
from ownkey.http.attempt_rows import attempt_row
from ownkey.ledger.balances import Credits

Json = dict[str, Any]

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "completed": "stop",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "stop": "stop",
    "complete": "stop",
    "tool_call": "tool_calls",
    **dict.fromkeys(
        (
            "content_filtered",
            "guardrail_intervened",
            "safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
        ),
        "content_filter",
    ),
}
"""What providers' APIs call them, in small letters → OpenAI's name, which clients of this route know."""

_UNKNOWN: Json = dict.fromkeys(
    (
        "app_id",
        "data_region",
        "moderation_latency",
        "num_fetches",
        "num_input_audio_prompt",
        "num_media_completion",
        "num_media_prompt",
        "num_search_results",
        "preset_id",
        "response_cache_source_id",
        "router",
        "service_tier",
        "session_id",
        "user_agent",
        "web_search_engine",
        "workspace_id",
    )
)
"""Members that clients may look for, of things that are not recorded."""


class RequestLog(Protocol):
    """`ownkey.ledger.records.Records`, as far as its reading goes."""

    async def attempts_of_request(self, account_id: str, request_id: str) -> list[AttemptRecord]:
        """In the order tried; empty where the account has no such request."""


class CreditReads(Protocol):
    """`ownkey.ledger.balances.Balances`, likewise."""

    async def credits(self, account_id: str) -> Credits:
        """What the account was given and what it spent."""


def request_id_of(query: bytes) -> str:
    """The `id` of a query.

    Raises:
        InvalidParameter: there is none, or several.
    """
    given = parse_qs(query.decode("latin-1")).get("id", [])
    if len(given) != 1:
        raise InvalidParameter("Which request is meant is not said.", fix="Ask with `?id=<request id>`.", param="id")
    return given[0]


def generation(records: Sequence[AttemptRecord], catalog: Catalog, cost_mode: str) -> Json:
    """The body, of all attempts of one request.

    Args:
        cost_mode: The gateway key's `usage_cost_mode`: what stands in `total_cost`, as in the answer's `usage.cost`.

    Raises:
        NotFound: there are none, or one has not ended: what it came to is not known yet.
    """
    ends = [record.end for record in records if record.end is not None]
    if not records or len(ends) < len(records):
        raise NotFound(
            "There is no such request in this gateway key's account, or it has not ended.",
            fix="Use the `X-Ownkey-Request-Id` of an answer; right behind the answer, ask again in a second.",
            param="id",
        )
    return {
        "data": {
            **_UNKNOWN,
            **_request(records[0]),
            **_answer(records[-1], ends[-1], catalog),
            **_costs(records, cost_mode),
            "latency": sum(end.latency_ms for end in ends),
            "provider_responses": [_response(each, end, catalog) for each, end in zip(records, ends, strict=True)],
            "attempts": [attempt_row(each) for each in records],
        }
    }


def credits_body(credits: Credits) -> Json:
    """All there ever was, and what was charged of it; keys of one's own are charged nothing."""
    return {
        "data": {
            "total_credits": usd_number(credits.granted_nanousd),
            "total_usage": usd_number(credits.charged_nanousd),
        }
    }


def _request(record: AttemptRecord) -> Json:
    request = record.start.request
    return {
        "id": request.request_id,
        "request_id": request.request_id,
        "api_type": "completions",
        "created_at": record.start.started_at,
        "streamed": request.streamed,
        "http_referer": request.app,
        "origin": request.app or "",
        "external_user": request.user,
    }


def _answer(record: AttemptRecord, end: AttemptEnd, catalog: Catalog) -> Json:
    """What the last attempt says: it is the one that answered, if any did."""
    usage = end.usage
    return {
        "model": f"{record.start.provider_id}/{record.start.model_id}",
        "provider_name": _name(record, catalog),
        "upstream_id": end.upstream_id,
        "is_byok": record.start.source is CredentialSource.BYOK,
        "cancelled": end.outcome is Outcome.CANCELLED,
        "finish_reason": _FINISH_REASONS.get((end.finish_reason or "").lower(), end.finish_reason),
        "native_finish_reason": end.finish_reason,
        "generation_time": end.latency_ms - (end.ttft_ms or 0),
        "tokens_prompt": usage.input_tokens,
        "tokens_completion": usage.output_tokens,
        "native_tokens_prompt": usage.input_tokens,
        "native_tokens_completion": usage.output_tokens,
        "native_tokens_cached": usage.cache_read,
        "native_tokens_reasoning": usage.reasoning,
        "native_tokens_completion_images": usage.image_output,
    }


def _costs(records: Sequence[AttemptRecord], cost_mode: str) -> Json:
    """Over all attempts: one that failed may have cost something too."""
    charged = sum(each.end.charge_nanousd for each in records if each.end)
    own = [each for each in records if each.start.source is CredentialSource.BYOK]
    cost = sum(each.end.cost_nanousd for each in own if each.end)
    unpriced = any(each.start.price_version is None for each in own)
    cached = [each.end.savings.caching for each in records if each.end and (each.end.usage != each.end.usage.uncached)]
    if cost_mode == "provider":
        charged, own = charged + cost, []
    return {
        "total_cost": usd_number(charged),
        "usage": usd_number(charged),
        "upstream_inference_cost": usd_number(cost) if own and not unpriced else None,
        "cache_discount": usd_number(sum(cached)) if cached else None,
    }


def _response(record: AttemptRecord, end: AttemptEnd, catalog: Catalog) -> Json:
    return {
        "endpoint_id": None,
        "id": end.upstream_id,
        "is_byok": record.start.source is CredentialSource.BYOK,
        "latency": end.latency_ms,
        "model_permaslug": f"{record.start.provider_id}/{record.start.model_id}",
        "provider_name": _name(record, catalog),
        "status": end.status,
    }


def _name(record: AttemptRecord, catalog: Catalog) -> str:
    provider = catalog.find_provider(record.start.provider_id)
    return provider.display_name if provider else record.start.provider_id
