"""What each inference surface does with a request, from the gateway key to the last event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from ownkey.catalog import Catalog
from ownkey.domain.attempts import RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import ModelNotFound
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey
from ownkey.domain.limits import Limit
from ownkey.domain.sharing import SharingTerms
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.http.cors import sharing_headers
from ownkey.http.exchange import Exchange
from ownkey.http.generation import CreditReads, RequestLog, credits_body, generation, request_id_of
from ownkey.http.key_info import CounterReads, SpendingReads, key_info, limits_of_key
from ownkey.http.model_list import (
    Reachable,
    as_anthropic,
    as_anthropic_list,
    as_openai,
    as_openai_list,
    reachable,
)
from ownkey.http.presented import presented_key
from ownkey.http.relay import relay
from ownkey.http.repeats import WAIT_S, Answers, Keeping, Kept, Repeats, replay
from ownkey.http.requests import app_of, is_streamed, parse_body, tags_of, user_of
from ownkey.http.scope import check_caller, check_surface
from ownkey.providers import Document, forwarded_headers, tokens_of_input, tokens_of_prompt, upstream_request_id
from ownkey.registry import Donor, RequestView
from ownkey.registry.audit import Cause, cause
from ownkey.registry.health import now_ms
from ownkey.router import (
    SIZED,
    Ask,
    Attempt,
    Borrowing,
    Job,
    Lending,
    Limits,
    Moment,
    Monitor,
    Planner,
    Ports,
    Preferences,
    Run,
    Supply,
    Turns,
    refusal_of,
)

KEEP_ALIVE_S = 15.0
_JSON = {"content-type": "application/json"}


class RegistryReads(Protocol):
    """`ownkey.registry.Registry`, as far as inference needs it."""

    async def read_for_request(self, presented: PresentedKey) -> RequestView:
        """Who asks, and which credentials there are."""

    async def read_donors(self, providers: Sequence[str], *, beside: str) -> Sequence[Donor]:
        """Accounts that share credentials for the providers, as they are now."""


class KeyUseLog(Protocol):
    """`ownkey.registry.key_use.KeyUse`, as far as inference needs it."""

    async def note(self, key: GatewayKey) -> None:
        """Notes, now and then, that a gateway key is in use. Never fails."""


class HoldReclaims(Protocol):
    """`ownkey.ledger.reclaim.NowAndThen`, as far as inference needs it."""

    async def note(self, account_id: str) -> None:
        """Ends the account's expired holds, now and then. Never fails."""


class UnwrapLog(Protocol):
    """`ownkey.registry.audit.AuditTrail`, as far as inference needs it."""

    async def drain(self) -> None:
        """Waits until every unwrap that was noted is written. Never fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceDeps:
    """What the inference API works with."""

    registry: RegistryReads
    key_use: KeyUseLog
    audit: UnwrapLog
    reclaims: HoldReclaims
    answers: Answers
    request_log: RequestLog
    credits: CreditReads
    spending: SpendingReads
    counters: CounterReads
    catalog: Catalog
    ports: Ports
    margin_percent: Decimal
    """The operator's, on platform traffic."""
    sharing: SharingTerms
    """What credentials of other accounts may serve platform traffic, and what those are given for it."""
    imported_gateway_keys: bool = False
    """Whether gateway keys of a foreign format are looked up."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    keep_alive_s: float = KEEP_ALIVE_S
    repeat_wait_s: float = WAIT_S
    """How long a repeated request waits for the first one's answer."""
    now_ms: Callable[[], int] = now_ms
    """Epoch milliseconds."""


class Call:
    """One request being served: its exchange, its gateway key once that is let in, its run once there is one."""

    __slots__ = ("exchange", "keeping", "key", "run", "surface")

    def __init__(self, exchange: Exchange, surface: Surface | None) -> None:
        """`surface` is None where the request is about the gateway key itself."""
        self.exchange = exchange
        self.surface = surface
        self.key: GatewayKey | None = None
        self.run: Run | None = None
        self.keeping: Keeping | None = None
        """Where the request may be repeated."""

    @property
    def attempts(self) -> list[Attempt]:
        """Those made so far."""
        return self.run.attempts if self.run else []


class Gateway:
    """The surfaces over one set of connections."""

    def __init__(self, deps: InferenceDeps) -> None:
        self._deps = deps
        self._planner = Planner(deps.catalog)
        self._monitor = Monitor(deps.ports.health, deps.now_ms)
        self._turns = Turns()
        self._repeats = Repeats(deps.answers, wait_s=deps.repeat_wait_s)
        self._lending = Lending(self._planner, deps.registry, deps.sharing, deps.now_ms)

    async def infer(self, call: Call) -> None:
        """Everything that a model answers."""
        deps, exchange, surface = self._deps, call.exchange, call.surface
        assert surface is not None
        view = await self._admitted(call)
        document = parse_body(await exchange.body(), surface, exchange.headers.get("content-type", ""))
        exchange.model = document.values["model"]
        once = await self._repeats.once(exchange, surface, view.key, document)
        if isinstance(once, Kept):
            await replay(exchange, once)
            return
        call.keeping = once
        ask = Ask(
            surface=surface,
            model=document.values["model"],
            gateway_key_id=view.key.id,
            platform_allowed=view.account.platform_allowed,
            preferences=Preferences.of(document.values),
            allowed_providers=None if view.key.providers is None else frozenset(view.key.providers),
            allowed_models=view.key.models,
        )
        own = Supply(view.own.credentials, view.own_health, view.own.pools)
        platform_health = view.platform_health.seen_by(view.account.id)
        platform = Supply(view.platform.credentials, platform_health, view.platform.pools)
        plan = self._planner.plan(ask, own, platform, Moment(deps.now_ms(), self._turns.draw))
        watch = self._monitor.watch(view.account.id, own, platform)
        beyond = self._lending.beyond(Borrowing(ask, view.account.id, own, plan, self._turns.draw))
        if not plan.candidates and beyond is not None:
            plan, beyond = replace(plan, candidates=tuple(await beyond(watch))), None
        if not plan.candidates:
            raise refusal_of(plan)
        call.run = Run(self._job(exchange, ask, view, document), plan, deps.ports, deps.limits, watch, beyond)
        attempt = await _answered(exchange, call.run)
        headers = _upstream_headers(attempt)
        if attempt.whole is None:
            await relay(exchange, surface, attempt, len(call.attempts), headers, deps.keep_alive_s, once)
            return
        headers = {"content-type": attempt.content_type} | headers
        if once is not None:
            once.begin(headers, attempt.served, len(call.attempts))
            once.take(attempt.whole.body)
            once.complete()
        await exchange.start(200, headers, attempt.served, len(call.attempts))
        await exchange.write(attempt.whole.body, more=False)

    async def list_models(self, call: Call) -> None:
        """What the gateway key can reach, in the shape of the client's dialect."""
        listed = await self._reachable(call)
        exchange = call.exchange
        openai = exchange.dialect is Dialect.OPENAI
        await _answer(exchange, as_openai_list(listed) if openai else as_anthropic_list(listed, exchange.query))

    async def show_model(self, call: Call) -> None:
        """One model that the gateway key can reach, by the id that the list has."""
        listed = await self._reachable(call)
        call.exchange.model = wanted = call.exchange.path_params["id"]
        # `vendor/model`, as requests may name it: the vendor must be among those that serve it.
        ref = self._deps.catalog.resolve(wanted)
        found = listed.get(wanted) or listed.get(ref.model_id)
        if found is None or (found.id != wanted and ref.provider_id not in {name for name, _ in found.routes}):
            raise ModelNotFound(f"This gateway key reaches no model {wanted!r}.", param="model")
        openai = call.exchange.dialect is Dialect.OPENAI
        await _answer(call.exchange, (as_openai if openai else as_anthropic)(found))

    async def _reachable(self, call: Call) -> dict[str, Reachable]:
        view = await self._admitted(call)
        lent = await self._lending.credentials(view.account.id) if view.account.platform_allowed else []
        return reachable(view, self._deps.catalog, _today(), lent)

    async def show_key(self, call: Call) -> None:
        """What the gateway key is, to whoever holds it."""
        view, now = await self._admitted(call), datetime.now(UTC)
        key, deps = view.key, self._deps
        spent, used = await asyncio.gather(
            deps.spending.of(view.account.id, key.id, since=key.created_at, now=now),
            deps.counters.current(limits_of_key(view), now),
        )
        await _answer(call.exchange, key_info(view, spent, used, now))

    async def show_generation(self, call: Call) -> None:
        """What one request of the account came to."""
        view = await self._admitted(call)
        records = await self._deps.request_log.attempts_of_request(view.account.id, request_id_of(call.exchange.query))
        await _answer(call.exchange, generation(records, self._deps.catalog, view.key.usage_cost_mode))

    async def show_credits(self, call: Call) -> None:
        """What the account was given and what it spent."""
        view = await self._admitted(call)
        await _answer(call.exchange, credits_body(await self._deps.credits.credits(view.account.id)))

    async def look_after(self, call: Call, key: GatewayKey) -> None:
        """What follows an answer: notes that a gateway key was let in, and what was unwrapped for it; ends what dead
        functions of an account that spends credits left held.
        """
        deps = self._deps
        await deps.key_use.note(key)
        await deps.audit.drain()
        if any(attempt.served.source is CredentialSource.PLATFORM for attempt in call.attempts):
            await deps.reclaims.note(key.account_id)

    async def _admitted(self, call: Call) -> RequestView:
        """Who asks, with a gateway key that may be used so, from there: the one way in, for every route."""
        exchange = call.exchange
        presented = presented_key(exchange.headers, allow_foreign=self._deps.imported_gateway_keys)
        view = await self._deps.registry.read_for_request(presented)
        exchange.sharing = sharing_headers(view.key, exchange.origin)
        check_caller(view.key, address=exchange.address, origin=exchange.origin)
        if call.surface is not None:
            check_surface(view.key, call.surface)
        call.key = view.key
        cause.set(Cause(exchange.request_id, view.account.id, exchange.address, {"gateway_key_id": view.key.id}))
        return view

    def _job(self, exchange: Exchange, ask: Ask, view: RequestView, document: Document) -> Job:
        body, surface = document.values, ask.surface
        app, app_title = app_of(exchange.headers)
        deadline_s, expires_at_s = exchange.deadline()
        facts = RequestFacts(
            request_id=exchange.request_id,
            account_id=view.account.id,
            gateway_key_id=view.key.id,
            surface=surface.value,
            requested_model=body["model"],
            streamed=is_streamed(body),
            app=app,
            app_title=app_title,
            user=user_of(body),
            tags=tags_of(exchange.headers, body),
        )
        return Job(
            facts=facts,
            body=document,
            client_headers=exchange.headers,
            input_tokens=_input_tokens(surface, body),
            cost_mode=view.key.usage_cost_mode,
            margin_percent=self._deps.margin_percent,
            deadline_s=deadline_s,
            expires_at_s=expires_at_s,
            credit_shards=view.account.credit_shards,
            account_limits=_limits(view, facts),
            on_disconnect=view.account.on_disconnect,
            reward_basis_points=self._deps.sharing.reward_basis_points,
            beta=exchange.query == b"beta=true",
            require_parameters=ask.preferences.require_parameters,
        )


async def _answered(exchange: Exchange, run: Run) -> Attempt:
    """The run's answer. Whether the client is still there is asked only where it matters."""
    if not run.stops_at_disconnect:
        return await run.answer()
    watching = asyncio.create_task(_told_of_disconnect(exchange, run))
    try:
        return await run.answer()
    finally:
        watching.cancel()


async def _told_of_disconnect(exchange: Exchange, run: Run) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        continue
    run.client_left()


def _input_tokens(surface: Surface, body: Mapping[str, Any]) -> int:
    """Estimated; 0 where nothing is generated."""
    if surface is Surface.COUNT_TOKENS:
        return 0
    return tokens_of_input(body) if surface in SIZED else tokens_of_prompt(body)


def _limits(view: RequestView, facts: RequestFacts) -> tuple[Limit, ...]:
    """The account's limits that apply to the request."""
    who: dict[str, Any] = {"gateway_key_id": facts.gateway_key_id, "user": facts.user, "tags": facts.tags}
    return tuple(limit for limit in view.own.limits if limit.applies_to(**who))


def _today() -> date:
    return datetime.now(UTC).date()


def _upstream_headers(attempt: Attempt) -> dict[str, str]:
    served = attempt.served
    # What is left of another account's rate limit is nobody else's to know.
    told = {} if served.lent else attempt.upstream_headers
    headers = forwarded_headers(told, owner=served.source is CredentialSource.BYOK)
    request_id = upstream_request_id(attempt.upstream_headers)
    if request_id is not None:
        headers["x-ownkey-upstream-request-id"] = request_id
    return headers


async def _answer(exchange: Exchange, body: Mapping[str, Any]) -> None:
    await exchange.start(200, _JSON, None, 0)
    await exchange.write(json.dumps(body, separators=(",", ":")).encode(), more=False)
