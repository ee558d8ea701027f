"""The inference app with everything around it in memory, and a real transport to a simulated provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
from fastapi import FastAPI

from local.simulator import Simulator, start_simulator
from ownkey.catalog import Catalog
from ownkey.catalog.sharing import sharing_terms
from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.attempts import AttemptEnd, AttemptRecord, AttemptStart
from ownkey.domain.credentials import Binding, Credential, PoolStrategy, SealedSecret, StoredCredential
from ownkey.domain.errors import CredentialUndecryptable, InsufficientCredits, InvalidGatewayKey, OwnkeyError
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey, digest_of, mint
from ownkey.domain.health import Health, Mark, claimed
from ownkey.domain.ledger import Hold
from ownkey.domain.limits import Counter, Limit
from ownkey.domain.scrub import register
from ownkey.domain.secrets import Secret
from ownkey.http.inference import create_inference_app
from ownkey.http.serving import InferenceDeps
from ownkey.ledger.balances import Credits
from ownkey.ledger.counters import Reservation
from ownkey.ledger.key_spending import KeySpending, Spent
from ownkey.registry import Donor, RequestView, Snapshot
from ownkey.registry.health import now_ms as wall_clock_ms
from ownkey.router import Limits, Ports
from ownkey.router.ports import Transport
from ownkey.upstream import Upstream, UrlPolicy

AT = "2026-11-21T08:00:00Z"
ACCOUNT = "acme"
KEYS = {"openai": "sk-sim-openai-0123456789", "anthropic": "sk-ant-sim-0123456789"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}]}
MESSAGES = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hello there"}],
}
PROVIDERS_OWN = "https://saved.example/v1"
"""A destination that `FakeRegistry` replaces by the provider's own, as the catalog of the test has it."""
PATIENT = Limits(connect_s=10.0, first_token_s=30.0, whole_s=30.0, idle_s=30.0)
"""For a busy machine; tests of a timeout set their own."""


def credential(provider: str, key: str | None = None, **values: Any) -> StoredCredential:
    """A stored credential; the "ciphertext" names its key to `FakeVault`."""
    key = KEYS.get(provider, f"{provider}-sim-0123456789") if key is None else key
    name = values.get("alias", provider)
    fields: dict[str, Any] = {
        "id": f"cred_{name}",
        "account_id": ACCOUNT,
        "provider_id": provider,
        "alias": name,
        "mask": "…",
        "version": 1,
        "destination": PROVIDERS_OWN,
        "created_at": AT,
        "updated_at": AT,
    }
    sealed = SealedSecret(1, b"", "", b"", key.encode(), b"", AT)
    return StoredCredential(Credential(**(fields | values)), sealed)


class FakeHealth:
    """Marks in memory, as `HealthBook` keeps them; with `clock_ms` a test moves the time."""

    def __init__(self) -> None:
        self.marks: dict[str, dict[str, Mark]] = {}
        self.writes = 0
        self.clock_ms: int | None = None

    def now_ms(self) -> int:
        return wall_clock_ms() if self.clock_ms is None else self.clock_ms

    def of(self, account_id: str) -> Health:
        return Health(dict(self.marks.get(account_id, {})))

    async def change(
        self, account_id: str, key: str, decide: Callable[[Mark | None], Mark | None], *, seen: Health, at_ms: int
    ) -> None:
        marks = self.marks.setdefault(account_id, {})
        old = marks.pop(key, None)
        new = decide(old)
        self.writes += new != old
        if new is not None:
            marks[key] = new

    async def claim(self, account_id: str, probes: Mapping[str, Mark], at_ms: int) -> Health | None:
        marks = self.marks.setdefault(account_id, {})
        if any(marks.get(key) != mark for key, mark in probes.items()):
            return self.of(account_id)
        self.writes += 1
        marks |= {key: claimed(mark, at_ms) for key, mark in probes.items()}
        return None


class FakeRegistry:
    """One account, one gateway key, and what the test puts in."""

    def __init__(self, health: FakeHealth) -> None:
        self.health = health
        self.pools: dict[str, PoolStrategy] = {}
        self.secret = mint(ACCOUNT).reveal()
        self.key = GatewayKey("gk_1", ACCOUNT, "app", digest_of(self.secret), "ok-…", AT, "user")
        self.account = AccountHead(ACCOUNT, "Acme", 1, AT)
        self.own: list[StoredCredential] = []
        self.limits: list[Limit] = []
        self.platform: list[StoredCredential] = []
        self.donors: list[Donor] = []
        self.donors_read = 0
        self.error: OwnkeyError | None = None
        self.catalog = Catalog.load()

    def _saved(self, credentials: list[StoredCredential]) -> tuple[StoredCredential, ...]:
        """The credentials as they were saved: for the provider's own address unless the test names another."""
        return tuple(replace(each, credential=self._destined(each.credential)) for each in credentials)

    def _destined(self, credential: Credential) -> Credential:
        own = self.catalog.provider(credential.provider_id).base_url
        return replace(credential, destination=own) if own and credential.destination == PROVIDERS_OWN else credential

    async def read_donors(self, providers: Sequence[str], *, beside: str) -> list[Donor]:
        self.donors_read += 1
        return [
            replace(each, credentials=self._saved(list(each.credentials)), health=self.health.of(each.account.id))
            for each in self.donors
            if each.account.id != beside
        ]

    async def read_for_request(self, presented: PresentedKey) -> RequestView:
        if self.error:
            raise self.error
        if presented.digest != self.key.digest:
            raise InvalidGatewayKey("This gateway key does not exist.")
        return RequestView(
            self.key,
            self.account,
            Snapshot(ACCOUNT, 1, self._saved(self.own), self.pools, tuple(self.limits)),
            Snapshot(PLATFORM_ACCOUNT, 1, self._saved(self.platform)),
            self.health.of(ACCOUNT),
            self.health.of(PLATFORM_ACCOUNT),
        )


class FakeTokens:
    """Exchanges what has no secret for the next of `tokens`, and holds that until it is to be forgotten."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def present(self, *given: Any) -> Mapping[str, Secret]:
        secret: Mapping[str, Secret] = given[-1]
        return secret or {"key": Secret(self.tokens[0])}

    def forget(self, account_id: str, credential_id: str, version: int) -> None:
        self.tokens.pop(0)


class FakeTrail:
    """Writes nothing, so there is nothing to wait for."""

    async def drain(self) -> None:
        return


class FakeVault:
    """Opens what `credential` made."""

    def __init__(self) -> None:
        self.sealed_for_good: set[str] = set()

    async def open(self, binding: Binding, sealed: SealedSecret) -> Mapping[str, Secret]:
        if binding.credential_id in self.sealed_for_good:
            raise CredentialUndecryptable("KMS does not open this credential's key.")
        secret = Secret(sealed.ciphertext.decode())
        register(secret)
        return {"key": secret}


@dataclass
class FakeAttempts:
    """Keeps records as the table would; `log` has every write in order."""

    log: list[tuple[str, str]] = field(default_factory=list)
    starts: dict[str, AttemptStart] = field(default_factory=dict)
    ends: dict[str, AttemptEnd] = field(default_factory=dict)
    error: Exception | None = None
    delay_s: float = 0.0

    async def start(self, start: AttemptStart) -> None:
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        self.log.append(("start", start.attempt_id))
        self.starts[start.attempt_id] = start

    async def end(self, start: AttemptStart, end: AttemptEnd) -> bool:
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        self.log.append(("end", start.attempt_id))
        first = start.attempt_id not in self.ends
        self.starts[start.attempt_id] = start
        self.ends.setdefault(start.attempt_id, end)
        return first

    async def attempts_of_request(self, account_id: str, request_id: str) -> list[AttemptRecord]:
        return [
            AttemptRecord(start, self.ends.get(attempt_id))
            for attempt_id, start in sorted(self.starts.items())
            if (start.request.account_id, start.request.request_id) == (account_id, request_id)
        ]

    @property
    def records(self) -> list[tuple[AttemptStart, AttemptEnd]]:
        """Start and end of each attempt, in the order tried."""
        return [(self.starts[attempt_id], self.ends[attempt_id]) for attempt_id in sorted(self.starts)]


@dataclass
class FakeHolds:
    """A balance of credits."""

    available_nanousd: int = 10**12
    placed: list[Hold] = field(default_factory=list)

    async def place(self, hold: Hold) -> None:
        if hold.amount_nanousd > self.available_nanousd:
            raise InsufficientCredits("Not enough credits.")
        self.available_nanousd -= hold.amount_nanousd
        self.placed.append(hold)

    async def credits(self, account_id: str) -> Credits:
        return Credits(self.available_nanousd, 0)


@dataclass
class FakeCounters:
    """Reservations in the order they were made; limits without end but for those that `error` stands for."""

    reserved: list[tuple[Reservation, Reservation | None]] = field(default_factory=list)
    given_back: list[tuple[Reservation, bool]] = field(default_factory=list)
    error: OwnkeyError | None = None
    used: dict[str, Counter] = field(default_factory=dict)

    async def reserve(self, wanted: Reservation, instead_of: Reservation | None = None) -> Reservation:
        if self.error:
            raise self.error
        self.reserved.append((wanted, instead_of))
        return wanted

    async def give_back(self, reservation: Reservation, *, request_sent: bool = False) -> bool:
        self.given_back.append((reservation, request_sent))
        return True

    async def current(self, limits: Iterable[Limit], at: datetime) -> dict[str, Counter]:
        return {each.id: self.used.get(each.id, Counter()) for each in limits}


@dataclass
class FakeSpending:
    """What gateway keys have spent, in every span the same."""

    spent: Spent = field(default_factory=lambda: Spent(0, 0))

    async def of(self, account_id: str, gateway_key_id: str, *, since: str, now: datetime) -> KeySpending:
        return KeySpending(self.spent, self.spent, self.spent, self.spent)


@dataclass
class FakeKeyUse:
    """The gateway keys that were let in."""

    noted: list[GatewayKey] = field(default_factory=list)

    async def note(self, key: GatewayKey) -> None:
        self.noted.append(key)


@dataclass
class FakeReclaims:
    """The accounts whose expired holds were ended."""

    noted: list[str] = field(default_factory=list)
    on_note: Callable[[], None] = lambda: None

    async def note(self, account_id: str) -> None:
        self.noted.append(account_id)
        self.on_note()


class UntouchedAnswers:
    """Of requests without `Idempotency-Key` nothing is read and nothing is written."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a request without Idempotency-Key asks for {name}")


class World:
    """The app, and handles on all that is around it."""

    def __init__(
        self, simulator: Simulator, providers: tuple[str, ...] = ("openai", "anthropic", "groq", "xai", "voyage")
    ) -> None:
        self.simulator = simulator
        self.health = FakeHealth()
        self.registry, self.vault = FakeRegistry(self.health), FakeVault()
        self.tokens, self.attempts, self.holds = FakeTokens(), FakeAttempts(), FakeHolds()
        self.counters, self.key_use, self.spending = FakeCounters(), FakeKeyUse(), FakeSpending()
        self.reclaims = FakeReclaims()
        self.catalog = Catalog.load({name: simulator.base_url(name) for name in providers})
        self.registry.catalog = self.catalog
        self.upstream = Upstream(UrlPolicy([simulator.origin, "http://127.0.0.1:9"]))
        self.deps = InferenceDeps(
            registry=self.registry,
            key_use=self.key_use,
            catalog=self.catalog,
            ports=self.ports(self.upstream),
            audit=FakeTrail(),
            reclaims=self.reclaims,
            answers=UntouchedAnswers(),
            request_log=self.attempts,
            credits=self.holds,
            spending=self.spending,
            counters=self.counters,
            now_ms=self.health.now_ms,
            margin_percent=Decimal(5),
            sharing=sharing_terms(self.catalog, (), 500),
            limits=PATIENT,
        )
        self.app: FastAPI = create_inference_app(self._connect)

    def ports(self, upstream: Transport) -> Ports:
        """Everything in memory but the transport."""
        return Ports(self.vault, self.tokens, self.attempts, self.holds, self.counters, upstream, self.health)

    def configure(self, **changes: Any) -> None:
        """Replaces parts of the deps; before `running`."""
        self.deps = replace(self.deps, **changes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """The app between startup and shutdown."""
        async with self.app.router.lifespan_context(self.app):
            yield self

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[InferenceDeps]:
        yield self.deps
        await self.upstream.close()

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """A POST with the gateway key, unless `headers` say otherwise; answered once the app has returned."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, content, headers)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """A GET likewise."""
        return await self.request("GET", path, b"", headers)

    async def request(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Any request."""
        sent = {"authorization": f"Bearer {self.registry.secret}", "content-type": "application/json"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, content=content, headers=sent if headers is None else headers)

    def stream(self, path: str, body: Any, headers: Mapping[str, str] | None = None, **scope: Any) -> StreamClient:
        """A POST whose answer is read as it comes."""
        return StreamClient(self, path, json.dumps(body).encode(), headers, scope)


class StreamClient:
    """A client on ASGI itself: sees each piece as it is sent, and can go away."""

    def __init__(
        self, world: World, path: str, body: bytes, headers: Mapping[str, str] | None, extra: Mapping[str, Any]
    ) -> None:
        sent = {"authorization": f"Bearer {world.registry.secret}"} | dict(headers or {})
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._raises_when_gone = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "method": "POST",
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        self.task = asyncio.create_task(world.app(scope | dict(extra), self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self._raises_when_gone and self._gone.is_set():
            raise OSError("the client has gone")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if message.get("body"):
            self.pieces.put_nowait(message["body"])
        if not message.get("more_body"):
            self.pieces.put_nowait(None)

    async def piece(self, timeout_s: float = 30) -> bytes | None:
        """The next piece; None at the end."""
        async with asyncio.timeout(timeout_s):
            return await self.pieces.get()

    async def rest(self) -> bytes:
        """All that is still to come, and the app's return."""
        pieces = []
        while (piece := await self.piece()) is not None:
            pieces.append(piece)
        await self.over()
        return b"".join(pieces)

    def leave(self, *, send_raises: bool = False) -> None:
        """Goes away: `receive` says so, and with `send_raises` so does `send`."""
        self._raises_when_gone = send_raises
        self._gone.set()

    async def over(self) -> None:
        """Waits until the app has returned."""
        async with asyncio.timeout(30):
            await self.task


@asynccontextmanager
async def world_with_simulator(**changes: Any) -> AsyncIterator[World]:
    """A running world with a key for OpenAI and one for Anthropic; `changes` are of `InferenceDeps`."""
    async with await start_simulator() as simulator:
        world = World(simulator)
        world.registry.own = [credential("openai"), credential("anthropic")]
        world.configure(**changes)
        async with world.running():
            yield world
