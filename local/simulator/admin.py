"""The admin API under `/_sim`: keys, federation, models, scripted behaviour, the journal.

For the loopback interface only.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.simulator.reports import BillLine
from local.simulator.token_endpoints import FederationRule

if TYPE_CHECKING:
    from local.simulator.app import Simulator

Handler = Callable[[web.Request], Awaitable[web.Response]]


def admin_routes(simulator: Simulator) -> list[web.RouteDef]:
    """The routes, each a thin wrapping of a method that tests in the same process call directly."""

    async def set_key(request: web.Request) -> web.Response:
        body = await _object(request, "provider", "key")
        simulator.keys.set(body["provider"], body["key"], body.get("accepted", True))
        return web.json_response({}, status=201)

    async def list_keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": simulator.keys.to_json()})

    async def clear_keys(_: web.Request) -> web.Response:
        simulator.keys.clear()
        return web.json_response({})

    async def add_federation_rule(request: web.Request) -> web.Response:
        simulator.tokens.trust(FederationRule(**await _object(request, "provider", "id", "issuer", "jwks_url")))
        return web.json_response({}, status=201)

    async def add_service_account(request: web.Request) -> web.Response:
        body = await _object(request, "email", "public_key")
        simulator.tokens.trust_service_account(body["email"], body["public_key"])
        return web.json_response({}, status=201)

    async def list_exchanges(_: web.Request) -> web.Response:
        return web.json_response({"exchanges": simulator.tokens.exchanges})

    async def set_models(request: web.Request) -> web.Response:
        body = await _object(request, "provider", "models")
        simulator.models.set(body["provider"], body["models"])
        return web.json_response({}, status=201)

    async def add_behaviour(request: web.Request) -> web.Response:
        body = await _object(request)
        return web.json_response({"id": simulator.scripts.add(**body)}, status=201)

    async def list_behaviour(_: web.Request) -> web.Response:
        return web.json_response({"behaviour": [asdict(each) for each in simulator.scripts.waiting()]})

    async def clear_behaviour(request: web.Request) -> web.Response:
        script_id = request.query.get("id")
        simulator.scripts.clear(request.query.get("provider"), int(script_id) if script_id else None)
        return web.json_response({})

    async def list_requests(request: web.Request) -> web.Response:
        entries = simulator.journal.entries(request.query.get("provider"), int(request.query.get("after_id", 0)))
        body = {"requests": [each.to_json() for each in entries], "counters": simulator.journal.counters()}
        return web.json_response(body)

    async def clear_requests(_: web.Request) -> web.Response:
        simulator.journal.clear()
        return web.json_response({})

    async def add_bill(request: web.Request) -> web.Response:
        body = await _object(request, "provider", "day", "amount_usd", "about")
        simulator.bill.append(BillLine(**body))
        return web.json_response({}, status=201)

    async def reset(_: web.Request) -> web.Response:
        simulator.reset()
        return web.json_response({})

    table: list[tuple[str, str, Handler]] = [
        ("POST", "/_sim/keys", set_key),
        ("GET", "/_sim/keys", list_keys),
        ("DELETE", "/_sim/keys", clear_keys),
        ("POST", "/_sim/federation-rules", add_federation_rule),
        ("POST", "/_sim/service-accounts", add_service_account),
        ("GET", "/_sim/exchanges", list_exchanges),
        ("POST", "/_sim/models", set_models),
        ("POST", "/_sim/behaviour", add_behaviour),
        ("GET", "/_sim/behaviour", list_behaviour),
        ("DELETE", "/_sim/behaviour", clear_behaviour),
        ("GET", "/_sim/requests", list_requests),
        ("DELETE", "/_sim/requests", clear_requests),
        ("POST", "/_sim/bill", add_bill),
        ("POST", "/_sim/reset", reset),
    ]
    return [web.route(method, path, _explained(handler)) for method, path, handler in table]


def _explained(handler: Handler) -> Handler:
    """The handler, with a wrong value answered by 400 and what is wrong with it."""

    async def explain(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return explain


async def _object(request: web.Request, *required: str) -> dict[str, Any]:
    body = json.loads(await request.read())
    missing = [name for name in required if not isinstance(body, dict) or name not in body]
    if missing or not isinstance(body, dict):
        raise ValueError(f"the body is an object with {', '.join(required)}")
    return body
