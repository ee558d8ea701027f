"""The server: a request is journalled, judged (script, key, body), answered by the model, and delivered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from local.simulator import media_answers, media_requests, openai_answers
from local.simulator.admin import admin_routes
from local.simulator.azure_routes import azure_routes
from local.simulator.bedrock_runtime import runtime_routes
from local.simulator.behaviour import Behaviour, Scripts, split_directives
from local.simulator.cache import PromptCache
from local.simulator.catalog_routes import catalog_routes
from local.simulator.delivery import deliver
from local.simulator.dialects import CHAT, MODELS, Profile, tells_usage_unasked
from local.simulator.journal import Entry, Journal
from local.simulator.keys import INFERENCE, Keys
from local.simulator.keys import MODELS as MODELS_ENDPOINT
from local.simulator.models import Models
from local.simulator.probe_routes import probe_routes
from local.simulator.profiles import profile_of
from local.simulator.refusals import Refusal, Refused, find
from local.simulator.replies import Exchange, Reply, Silence, Whole, distorted, page, retry_headers, think
from local.simulator.report_routes import report_routes
from local.simulator.reports import BillLine
from local.simulator.token_endpoints import TokenEndpoints

MAX_BODY_BYTES = 64 * 1024 * 1024
SHUTDOWN_S = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived. `body` is its JSON, or None where it has none that can be read."""

    provider: str
    profile: Profile
    method: str
    path: str
    tail: str
    query: dict[str, str]
    headers: Mapping[str, str]
    scheme: str | None
    key: str | None
    raw: bytes
    body: Any
    request_id: str

    @property
    def model(self) -> str:
        """The model named in the body, or in the path."""
        named = self.body.get("model") if isinstance(self.body, dict) else None
        return named if isinstance(named, str) else self.tail.removeprefix("models").strip("/")

    def refusal(self, wanted: str) -> Refusal:
        """The refusal of a kind or status, with the facts of this request."""
        key = self.key or ""
        if wanted in ("invalid_key", "401") and key:
            return self.profile.dialect.wrong_key(self.scheme, key)
        facts = {"model": self.model, "method": self.method, "path": f"/v1/{self.tail}", "key": key}
        return find(self.profile.dialect.refusals, wanted).about(**facts)


class Simulator:
    """A running simulated provider. Ends with `close()`, or with the `async with` block it is used in."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.tokens = TokenEndpoints(self.keys)
        self.models = Models()
        self.scripts = Scripts()
        self.journal = Journal()
        self.bill: list[BillLine] = []
        self._cache = PromptCache()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def base_url(self, provider: str) -> str:
        """The base URL of a provider, with its `/v1` or whatever its version is."""
        return f"{self.origin}/{provider}/{profile_of(provider).version}"

    def reset(self) -> None:
        """As after the start: no scripts, no registered keys or models, nothing journalled or cached."""
        self.keys.clear()
        self.tokens.clear()
        self.scripts.clear()
        self.journal.clear()
        self.bill.clear()
        self.models = Models()
        self._cache = PromptCache()

    async def settled(self, timeout_s: float = 5) -> list[Entry]:
        """The journal once every request in it has ended. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while any(entry.ended_ms is None for entry in self.journal.entries()):
                await asyncio.sleep(0.005)
        return self.journal.entries()

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> Self:
        """Listen; port 0 takes a free one."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(admin_routes(self))
        app.add_routes(self.tokens.routes())
        app.add_routes(report_routes(self))
        app.add_routes(runtime_routes(self, self._serve_call))
        app.add_routes(azure_routes(self._serve_call))
        app.add_routes(probe_routes(self))
        app.add_routes(catalog_routes(self, self.serve))
        app.router.add_route("*", "/{provider}/{version:v[12](?:beta)?}/{tail:.*}", self.serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        """Stop listening and drop what is under way."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers a request to `{provider}`, `{tail}` being what follows the version (a cloud's host)."""
        return await self._serve_call(request, await _call_of(request))

    async def _serve_call(self, request: web.Request, call: Call) -> web.StreamResponse:
        entry = self.journal.open(
            call.provider,
            call.method,
            call.path,
            request.query_string,
            call.headers,
            (call.scheme, call.key),
            call.raw,
        )
        entry.request_id = call.request_id
        reply, behaviour = self._judge(call, entry)
        return await deliver(request, reply, behaviour, entry)

    def _judge(self, call: Call, entry: Entry) -> tuple[Reply, Behaviour]:
        """The reply to a call. A script comes first, as a provider's bad day does; then key, path, headers and body;
        then what the message itself asks to suffer."""
        scripted = self.scripts.take(call.provider, call.key, call.model, call.tail)
        entry.knobs = dict(scripted)
        behaviour = Behaviour.of(scripted)
        try:
            if behaviour.in_place_of_answer:
                return _instead(call, behaviour), behaviour
            endpoint = self._admit(call)
            if endpoint == MODELS:
                return self._models(call), behaviour
            return self._answer(call, endpoint, entry)
        except Refused as refused:
            return _error(call, refused.refusal, behaviour), behaviour

    def _admit(self, call: Call) -> str:
        """The endpoint of the call, once its key and headers have passed."""
        dialect = call.profile.dialect
        head, _, model = call.tail.partition("/")
        route = "models" if head == "models" and model else call.tail
        if route not in dialect.paths:
            raise Refused(call.refusal("unknown_path"))
        method, endpoint = dialect.paths[route]
        if call.key is None:
            raise Refused(call.refusal("missing_key"))
        state = self.keys.state(call.provider, call.key, call.profile.key_pattern)
        if state.refusal is not None and state.refuses(MODELS_ENDPOINT if endpoint == MODELS else INFERENCE):
            raise Refused(call.refusal(state.refusal))
        self.tokens.check_bearer(call.key, call.scheme, call.headers)
        if call.method != method:
            raise Refused(call.refusal("method"))
        dialect.check_headers(call.headers)
        return endpoint

    def _models(self, call: Call) -> Reply:
        dialect, vendor = call.profile.dialect, call.profile.vendor
        if call.tail == "models":
            rows = self.models.listed(call.provider, vendor)
            return dialect.models(rows, call.query, call.profile, call.request_id)
        return dialect.model(self._model(call), call.profile, call.request_id)

    def _model(self, call: Call) -> dict[str, Any]:
        row = self.models.find(call.provider, call.profile.vendor, call.model)
        if row is None:
            raise Refused(call.refusal("unknown_model"))
        return row

    def _answer(self, call: Call, endpoint: str, entry: Entry) -> tuple[Reply, Behaviour]:
        dialect = call.profile.dialect
        if call.body is None:
            raise Refused(call.refusal("invalid_json"))
        if endpoint in media_requests.ENDPOINTS:
            return self._media(call, endpoint, entry)
        dialect.check(endpoint, call.body, call.headers, call.profile)
        model = self._model(call)
        if endpoint == CHAT:
            dialect.check_for_model(call.body, model)
        prompt = dialect.read(call.body)
        entry.knobs = {**prompt.knobs, **entry.knobs}
        behaviour = _behaviour(call, entry.knobs)
        if behaviour.in_place_of_answer:
            return _instead(call, behaviour), behaviour
        instant = dialect.at_once(endpoint, call.body, prompt, call.request_id)
        if instant is not None:
            return instant, behaviour
        cache = dialect.cache_use(self._cache, f"{self.tokens.owner_of(call.key)} {model['id']}", prompt.segments)
        completions, usage = think(prompt, cache, behaviour)
        entry.served = str(model.get("serves", model["id"]))
        entry.used = {
            "input": usage.input_tokens,
            "cached": usage.cache.read,
            "written_5m": usage.cache.written_5m,
            "written_1h": usage.cache.written_1h,
            "output": usage.output_tokens,
        }
        exchange = Exchange(
            first_party=call.profile.vendor is not None,
            request_id=call.request_id,
            created_s=int(time.time()),
            body=call.body,
            model=model,
            prompt=prompt,
            completions=completions,
            usage=usage,
            behaviour=behaviour,
            unasked_usage=tells_usage_unasked(call.provider),
        )
        return _delivered(call, dialect.answer(exchange), behaviour), behaviour

    def _media(self, call: Call, endpoint: str, entry: Entry) -> tuple[Reply, Behaviour]:
        """What is no conversation: nothing is thought about it, but it may suffer the same."""
        first_party = call.profile.vendor is not None
        media_requests.check(endpoint, call.body, strict=first_party)
        model = self._model(call)
        entry.knobs = {**split_directives(_text_in(call.body))[1], **entry.knobs}
        behaviour = _behaviour(call, entry.knobs)
        if behaviour.in_place_of_answer:
            return _instead(call, behaviour), behaviour
        headers = openai_answers.headers(call.request_id, first_party=first_party)
        reply, entry.used = media_answers.answer(endpoint, call.body, headers, call.request_id)
        entry.served = str(model.get("serves", model["id"]))
        return _delivered(call, reply, behaviour), behaviour


def _text_in(body: Mapping[str, Any]) -> str:
    """The text of a request that is no conversation, which may hold directives."""
    return " ".join(str(body[name]) for name in ("input", "prompt", "query") if isinstance(body.get(name), str))


def _delivered(call: Call, reply: Reply, behaviour: Behaviour) -> Reply:
    """The answer with what goes wrong on its way. An error due inside a stream replaces an answer that is none."""
    error = _echoing(call, call.refusal(behaviour.fail or "server_error"), behaviour)
    if behaviour.error_after is not None and isinstance(reply, Whole):
        return _error(call, error, behaviour)
    return distorted(reply, behaviour, call.profile.dialect.error_event(error, call.request_id))


def _behaviour(call: Call, knobs: dict[str, Any]) -> Behaviour:
    """The behaviour, a directive that cannot be read being the caller's error."""
    try:
        return Behaviour.of(knobs)
    except ValueError as error:
        raise Refused(Refusal(400, "invalid_request_error", f"simulator: {error}")) from error


def _instead(call: Call, behaviour: Behaviour) -> Reply:
    """What a call gets that never reaches the model."""
    if behaviour.hang:
        return Silence()
    if behaviour.fail is not None:
        return _error(call, call.refusal(behaviour.fail), behaviour)
    if behaviour.redirect is not None:
        return Whole(b"", {"location": behaviour.redirect, "x-request-id": call.request_id}, 302)
    return page(200, "It works", {})


def _error(call: Call, refusal: Refusal, behaviour: Behaviour) -> Reply:
    reply = call.profile.dialect.error(_echoing(call, refusal, behaviour), call.profile, call.request_id)
    return replace(reply, headers=reply.headers | retry_headers(behaviour, datetime.now(UTC)))


def _echoing(call: Call, refusal: Refusal, behaviour: Behaviour) -> Refusal:
    """The refusal as a careless provider words it: with the key."""
    if not behaviour.echo_key:
        return refusal
    return replace(refusal, message=f"{refusal.message} (key: {call.key})")


async def _call_of(request: web.Request) -> Call:
    provider = request.match_info["provider"]
    raw = await request.read()
    read = _body_of(raw, request.headers.get("Content-Type", ""))
    profile, tail, body = profile_of(provider).opened(request.match_info["tail"], read)
    scheme, key = profile.dialect.credential(request.headers)
    return Call(
        provider=provider,
        profile=profile,
        method=request.method,
        path=request.path,
        tail=tail,
        query=dict(request.query),
        headers=request.headers,
        scheme=scheme,
        key=key,
        raw=raw,
        body=body,
        request_id=profile.dialect.request_id(),
    )


def _body_of(raw: bytes, content_type: str) -> Any:
    if content_type.startswith("multipart/form-data"):
        return media_requests.read_form(raw, content_type)
    try:
        return json.loads(raw)
    except ValueError:
        return None


async def start_simulator(port: int = 0, host: str = "127.0.0.1") -> Simulator:
    """Start a simulated provider in the running event loop."""
    return await Simulator().start(port, host)
