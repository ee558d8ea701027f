"""Compatible providers whose rows have something of their own: a validation call elsewhere, an address that is made of
a credential's fields.

On a local stack both stand below the provider's name: `/<provider>/<path>`, `/<provider>/v1/<the vendor's host>/…`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from local.simulator.behaviour import Behaviour
from local.simulator.delivery import deliver
from local.simulator.keys import MODELS, Keys
from local.simulator.presented import key_in
from local.simulator.probe_call import answer
from local.simulator.profiles import COMPATIBLE, PROFILES
from local.simulator.replies import Whole
from ownkey.catalog import Catalog, Form, Provider, Scheme
from ownkey.domain.surfaces import Dialect

if TYPE_CHECKING:
    from local.simulator.app import Simulator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CHAT = "/chat/completions"


def catalog_routes(simulator: Simulator, serve: Handler) -> list[web.RouteDef]:
    """The routes, validation calls first: elsewhere `serve` answers what is below an address."""
    calls, addresses = [], []
    for provider in Catalog.load().providers:
        if provider.family is not Dialect.OPENAI or provider.id in PROFILES:
            continue
        for form in (each for each in provider.forms if each.scheme is Scheme.HEADER):
            address = f"/{{provider:{provider.id}}}/v1/{_below(form.base_url)}" if form.base_url else None
            if path := _own_call(provider, form, address):
                calls.append(web.route(form.validation.method, path, _proof(simulator, provider, form)))
            if address:
                addresses.append(web.route("*", f"{address}/{{tail:.*}}", serve))
    return [*calls, *addresses]


def _below(url: str) -> str:
    """An address as segments of a path; its fields are the route's."""
    return url.partition("?")[0].removeprefix("https://")


def _own_call(provider: Provider, form: Form, address: str | None) -> str | None:
    """The path of a validation call that no dialect answers."""
    validation = form.validation
    if "://" in validation.path:
        own = urlsplit(validation.path).path
        return f"/{provider.id}/v1/{_below(validation.path)}" if address else f"/{provider.id}{own}"
    usual = validation.path == _CHAT or validation.method == "GET"
    return None if usual else f"{address or f'/{provider.id}/v1'}{validation.path}"


def _proof(simulator: Simulator, provider: Provider, form: Form) -> Handler:
    async def prove(request: web.Request) -> web.StreamResponse:
        key = key_in(request.headers, form.auth)
        entry = simulator.journal.open(
            provider.id,
            request.method,
            request.path,
            request.query_string,
            request.headers,
            (form.auth.header, key),
            await request.read(),
        )
        entry.knobs = simulator.scripts.take(provider.id, key, None, request.path.removeprefix(f"/{provider.id}/"))
        behaviour = Behaviour.of(entry.knobs)
        return await deliver(request, _verdict(form, simulator.keys, provider.id, key), behaviour, entry)

    return prove


def _verdict(form: Form, keys: Keys, provider_id: str, key: str | None) -> Whole:
    state = keys.state(provider_id, key, COMPATIBLE.key_pattern) if key else None
    if state is None or (state.refuses(MODELS) and state.refusal == "invalid_key"):
        return answer(min(form.validation.rejected), {"error": {"message": "Invalid API key", "type": "auth"}})
    if state.refuses(MODELS):
        return answer(min(form.validation.limited or form.validation.rejected), {"error": {"message": "Forbidden"}})
    return answer(min(form.validation.accepted), {})
