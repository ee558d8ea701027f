"""What each inference surface does with a request, from the gateway key to the last event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from ownkey.catalog import Catalog
from ownkey.domain.attempts import RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import ModelNotFound
from ownkey.domain.gateway_keys import PresentedKey
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.http.exchange import Exchange
from ownkey.http.model_list import as_anthropic, as_anthropic_list, as_openai, as_openai_list, reachable
from ownkey.http.presented import presented_key
from ownkey.http.relay import relay
from ownkey.http.requests import app_of, parse_body, tags_of, user_of
from ownkey.providers import Document, forwarded_headers, tokens_of_prompt, upstream_request_id
from ownkey.registry import RequestView
from ownkey.router import Ask, Attempt, Job, Limits, Planner, Ports, Preferences, Run, refusal_of

KEEP_ALIVE_S = 15.0
_JSON = {"content-type": "application/json"}


class RegistryReads(Protocol):
    """`ownkey.registry.Registry`, as far as inference needs it."""

    async def read_for_request(self, presented: PresentedKey) -> RequestView:
        """Who asks, and which credentials there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceDeps:
    """What the inference API works with."""

    registry: RegistryReads
    catalog: Catalog
    ports: Ports
    margin_percent: Decimal
    """The operator's, on platform traffic."""
    imported_gateway_keys: bool = False
    """Whether gateway keys of a foreign format are looked up."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    keep_alive_s: float = KEEP_ALIVE_S


class Call:
    """One request being served: its exchange, and its run once there is one."""

    __slots__ = ("exchange", "run", "surface")

    def __init__(self, exchange: Exchange, surface: Surface) -> None:
        self.exchange = exchange
        self.surface = surface
        self.run: Run | None = None

    @property
    def attempts(self) -> list[Attempt]:
        """Those made so far."""
        return self.run.attempts if self.run else []


class Gateway:
    """The surfaces over one set of connections."""

    def __init__(self, deps: InferenceDeps) -> None:
        self._deps = deps
        self._planner = Planner(deps.catalog)

    async def infer(self, call: Call) -> None:
        """Chat completions, messages, counting tokens."""
        deps, exchange = self._deps, call.exchange
        view = await self._view(exchange)
        document = parse_body(await exchange.body(), call.surface)
        exchange.model = document.values["model"]
        ask = Ask(
            surface=call.surface,
            model=document.values["model"],
            gateway_key_id=view.key.id,
            platform_allowed=view.account.platform_allowed,
            preferences=Preferences.of(document.values),
        )
        plan = self._planner.plan(ask, view.own.credentials, view.platform.credentials)
        if not plan.candidates:
            raise refusal_of(plan)
        call.run = Run(self._job(call, view, document), plan.candidates, deps.ports, deps.limits)
        attempt = await call.run.answer()
        headers = _upstream_headers(attempt)
        if attempt.whole is None:
            await relay(exchange, attempt, len(call.attempts), headers, deps.keep_alive_s)
            return
        await exchange.start(200, _JSON | headers, attempt.served, len(call.attempts))
        await exchange.write(attempt.whole.body, more=False)

    async def list_models(self, call: Call) -> None:
        """What the gateway key can reach, in the shape of the client's dialect."""
        listed = reachable(await self._view(call.exchange), self._deps.catalog, _today())
        openai = call.exchange.dialect is Dialect.OPENAI
        await _answer(call.exchange, as_openai_list(listed) if openai else as_anthropic_list(listed))

    async def show_model(self, call: Call) -> None:
        """One model that the gateway key can reach, by the id that the list has."""
        listed = reachable(await self._view(call.exchange), self._deps.catalog, _today())
        call.exchange.model = wanted = call.exchange.path_params["id"]
        # `vendor/model`, as requests may name it: the vendor must be among those that serve it.
        ref = self._deps.catalog.resolve(wanted)
        found = listed.get(wanted) or listed.get(ref.model_id)
        if found is None or (found.id != wanted and ref.provider_id not in {name for name, _ in found.routes}):
            raise ModelNotFound(f"This gateway key reaches no model {wanted!r}.", param="model")
        openai = call.exchange.dialect is Dialect.OPENAI
        await _answer(call.exchange, (as_openai if openai else as_anthropic)(found))

    async def _view(self, exchange: Exchange) -> RequestView:
        presented = presented_key(exchange.headers, allow_foreign=self._deps.imported_gateway_keys)
        return await self._deps.registry.read_for_request(presented)

    def _job(self, call: Call, view: RequestView, document: Document) -> Job:
        exchange, body = call.exchange, document.values
        app, app_title = app_of(exchange.headers)
        deadline_s, expires_at_s = exchange.deadline()
        facts = RequestFacts(
            request_id=exchange.request_id,
            account_id=view.account.id,
            gateway_key_id=view.key.id,
            surface=call.surface.value,
            requested_model=body["model"],
            streamed=body.get("stream") is True,
            app=app,
            app_title=app_title,
            user=user_of(body),
            tags=tags_of(exchange.headers, body),
        )
        return Job(
            facts=facts,
            body=document,
            client_headers=exchange.headers,
            input_tokens=0 if call.surface is Surface.COUNT_TOKENS else tokens_of_prompt(body),
            cost_mode=view.key.usage_cost_mode,
            margin_percent=self._deps.margin_percent,
            deadline_s=deadline_s,
            expires_at_s=expires_at_s,
            beta=exchange.query == b"beta=true",
        )


def _today() -> date:
    return datetime.now(UTC).date()


def _upstream_headers(attempt: Attempt) -> dict[str, str]:
    own = attempt.served.source is CredentialSource.BYOK
    headers = forwarded_headers(attempt.upstream_headers, owner=own)
    request_id = upstream_request_id(attempt.upstream_headers)
    if request_id is not None:
        headers["x-ownkey-upstream-request-id"] = request_id
    return headers


async def _answer(exchange: Exchange, body: Mapping[str, Any]) -> None:
    await exchange.start(200, _JSON, None, 0)
    await exchange.write(json.dumps(body, separators=(",", ":")).encode(), more=False)
