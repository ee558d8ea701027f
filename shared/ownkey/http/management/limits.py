"""`/api/limits`: budgets and rate limits of the account, its gateway keys, its users and tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.errors import InvalidParameter, NotFound
from ownkey.domain.limits import ALERTS, Limit, LimitScope, Measure, Window
from ownkey.domain.money import parse_usd
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, answer, answer_page, cut
from ownkey.http.management.answers import Limit as PageLimit
from ownkey.http.management.auditing import note
from ownkey.http.management.idempotency import Idempotency
from ownkey.ledger.counters import Counters
from ownkey.registry import Registry


def routes(
    access: Access, registry: Registry, counters: Counters, idempotency: Idempotency, now: Callable[[], datetime]
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/limits")

    async def shown(limits: Sequence[Limit]) -> list[dict[str, Any]]:
        at = now()
        counted = await counters.current(limits, at)
        return [views.limit(each, counted[each.id], at) for each in limits]

    @router.get("")
    async def list_limits(request: Request, limit: PageLimit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_LIMITS)
        page, after = cut(await registry.limits(caller.account_id), limit, cursor, by=lambda each: each.id)
        return answer_page(await shown(page), after)

    @router.post("")
    async def create_limit(request: Request, body: bodies.CreateLimit) -> Response:
        caller = await access.enter(request, Right.CHANGE_LIMITS)
        await _check_subject(body, registry, caller.account_id)
        at = rfc3339(now())

        async def create(limit_id: str) -> Response:
            created = Limit(
                id=limit_id,
                account_id=caller.account_id,
                scope=body.scope,
                value=body.value or "",
                measure=body.measure,
                window=body.window,
                amount=_amount(body.measure, body.amount),
                include_byok=_include_byok(body.measure, body.include_byok),
                hard=body.hard,
                alerts=_alerts(body.window, body.alerts),
                created_at=at,
                created_by=caller.user_id,
                updated_at=at,
            )
            await registry.create_limit(created)
            note(request, limit_id=limit_id, **_noted(created))
            return etags.answer((await shown([created]))[0], 201)

        async def made_before(limit_id: str) -> Response:
            return etags.answer((await shown([await registry.limit(caller.account_id, limit_id)]))[0], 201)

        return await idempotency.once(
            request,
            account_id=caller.account_id,
            user_id=caller.user_id,
            resource_id=ids.new_id(ids.LIMIT),
            create=create,
            shown=made_before,
        )

    @router.get("/{limit_id}")
    async def read_limit(request: Request, limit_id: str) -> Response:
        caller = await access.enter(request, Right.READ_LIMITS)
        return etags.answer((await shown([await registry.limit(caller.account_id, limit_id)]))[0])

    async def changing(request: Request, limit_id: str) -> Limit:
        """The limit that the caller may change, as it is now."""
        caller = await access.enter(request, Right.CHANGE_LIMITS)
        current = await registry.limit(caller.account_id, limit_id)
        etags.check(request, (await shown([current]))[0])
        return current

    @router.patch("/{limit_id}")
    async def update_limit(request: Request, limit_id: str, body: bodies.UpdateLimit) -> Response:
        current = await changing(request, limit_id)
        given = body.given()
        if "amount" in given:
            given["amount"] = _amount(current.measure, given["amount"])
        if "include_byok" in given:
            given["include_byok"] = _include_byok(current.measure, given["include_byok"])
        if "alerts" in given:
            given["alerts"] = tuple(given["alerts"])
        changed = replace(current, **given, updated_at=rfc3339(now()))
        await registry.update_limit(changed, seen_updated_at=current.updated_at)
        note(request, changed=tuple(sorted(given)), **_noted(changed))
        return etags.answer((await shown([changed]))[0])

    @router.delete("/{limit_id}")
    async def delete_limit(request: Request, limit_id: str) -> Response:
        current = await changing(request, limit_id)
        await registry.delete_limit(current)
        note(request, **_noted(current))
        return answer({"id": current.id, "deleted": True})

    return router


async def _check_subject(body: bodies.CreateLimit, registry: Registry, account_id: str) -> None:
    """Whether the scope has the value that it needs, and a gateway key is one of the account's."""
    if (body.scope is LimitScope.ACCOUNT) is not (body.value is None):
        raise InvalidParameter(
            "`value` names the gateway key (its id), the user or the tag; the account has none.", param="value"
        )
    if body.scope is LimitScope.GATEWAY_KEY and body.value is not None:
        with suppress(NotFound):
            await registry.gateway_key(account_id, body.value)
            return
        raise InvalidParameter(
            "There is no such gateway key.", fix="Use an id from GET /api/gateway-keys.", param="value"
        )


def _amount(measure: Measure, amount: int | str) -> int:
    if measure is not Measure.SPEND:
        if isinstance(amount, int):
            return amount
        raise InvalidParameter("`amount` of requests and tokens is a number.", param="amount")
    try:
        parsed = parse_usd(amount) if isinstance(amount, str) else 0
    except ValueError:
        parsed = 0
    if parsed <= 0:
        raise InvalidParameter(
            "`amount` of spend is a decimal string of dollars above 0.", fix='Send it as in "500.00".', param="amount"
        )
    return parsed


def _include_byok(measure: Measure, given: bool | None) -> bool:
    if measure is Measure.SPEND:
        return bool(given)
    if given is False:
        raise InvalidParameter(
            "Requests and tokens count on every key.", fix="Leave `include_byok` out.", param="include_byok"
        )
    return True


def _alerts(window: Window, given: list[int] | None) -> tuple[int, ...]:
    if given is not None:
        return tuple(given)
    return () if window is Window.MINUTE else ALERTS


def _noted(limit: Limit) -> dict[str, str | int | bool]:
    """For the audit log."""
    return {
        "scope": limit.scope.value,
        "measure": limit.measure.value,
        "window": limit.window.value,
        "amount": limit.amount,
        "hard": limit.hard,
    }
