"""Accounts as tests use them: a session for management, a gateway key for the SDKs, provider keys to be saved."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai

from tests.e2e.stage import WAIT_S

if TYPE_CHECKING:
    from tests.e2e.world import World

Json = dict[str, Any]

CHAT_MODEL = "gpt-4o-mini"
MESSAGES_MODEL = "claude-haiku-4-5"

_KEY_FORMS = {"OpenAI": "sk-sim-{}", "Anthropic": "sk-ant-sim-{}"}
"""By the form of a key the simulated provider knows it, as long as nobody registered otherwise."""


def new_provider_key(provider: str = "OpenAI") -> str:
    """A key that the simulated provider accepts, and that no other test uses."""
    return _KEY_FORMS.get(provider, "sk-sim-{}").format(secrets.token_hex(20))


@dataclass(frozen=True)
class Session:
    """A signed-in person, in one account."""

    world: World
    token: str
    account_id: str

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request to the management API."""
        headers = {"authorization": f"Bearer {self.token}", "x-ownkey-account": self.account_id}
        headers |= options.pop("headers", {})
        content = {} if body is None else {"json": body}
        return self.world.http(method, path, headers=headers, **content, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        """The body of a request that succeeds."""
        response = self.call(method, path, body, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Json]:
        """Status and error of a request that does not succeed."""
        response = self.call(method, path, body, **options)
        assert response.is_error, f"{method} {path}: {response.status_code} {response.text}"
        return response.status_code, response.json()["error"]


@dataclass(frozen=True)
class Account:
    """An account, its owner's session, and one gateway key of it."""

    world: World
    id: str
    owner: Session
    gateway_key: str
    gateway_key_id: str

    def save_key(self, provider: str = "OpenAI", key: str | None = None, **settings: Any) -> SavedKey:
        """Saves a provider key; without `key` a fresh one that the simulated provider accepts."""
        key = key or new_provider_key(provider)
        body = {"provider": provider, "key": key, **settings}
        return SavedKey(key, self.owner.ok("POST", "/api/byok", body))

    def openai(self, **options: Any) -> openai.OpenAI:
        """The OpenAI SDK with this account's gateway key."""
        return self.world.openai(self.gateway_key, **options)

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        """The Anthropic SDK with this account's gateway key."""
        return self.world.anthropic(self.gateway_key, **options)

    def async_openai(self, **options: Any) -> openai.AsyncOpenAI:
        """The asynchronous OpenAI SDK with this account's gateway key."""
        return self.world.async_openai(self.gateway_key, **options)

    def async_anthropic(self, **options: Any) -> anthropic.AsyncAnthropic:
        """The asynchronous Anthropic SDK with this account's gateway key."""
        return self.world.async_anthropic(self.gateway_key, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """An inference request without any SDK: `body` as JSON, or `content` as bytes."""
        headers = {"authorization": f"Bearer {self.gateway_key}"} | options.pop("headers", {})
        content = {} if body is None else {"json": body}
        return self.world.http("POST", path, headers=headers, **content, **options)

    def attempts(self, request_id: str | None = None) -> list[Json]:
        """The attempts of a request in the order tried (of all requests, the oldest first), once all are billed.

        The function may still be at it though its client has gone.
        """
        give_up = time.monotonic() + WAIT_S
        while time.monotonic() < give_up:
            self.world.drain()
            rows = self.owner.ok("GET", "/api/activity", params={"limit": 100})["data"]
            wanted = [row for row in reversed(rows) if request_id in (None, row["request_id"])]
            if all(row["billed_at"] for row in wanted):
                return wanted
            time.sleep(0.02)
        raise AssertionError(f"an attempt is still not billed after {WAIT_S:.0f} s")

    def attempt(self, request_id: str) -> Json:
        """The only attempt of a request."""
        (row,) = self.attempts(request_id)
        return row

    def balance(self) -> Mapping[str, Decimal]:
        """Credits in dollars: `available_usd`, `held_usd`, `total_usd`."""
        self.world.drain()
        return {name: Decimal(amount) for name, amount in self.owner.ok("GET", "/api/balance").items()}

    def entries(self) -> list[Json]:
        """The ledger's entries."""
        self.world.drain()
        return self.owner.ok("GET", "/api/ledger", params={"limit": 100})["data"]

    def usage(self, dimension: str = "total") -> list[Json]:
        """Today's aggregates."""
        self.world.drain()
        return self.owner.ok("GET", "/api/usage", params={"dimension": dimension})["data"]


@dataclass(frozen=True)
class SavedKey:
    """A provider key in the clear, and what the API said when it was saved."""

    key: str
    saved: Json

    @property
    def id(self) -> str:
        """The credential's id."""
        return self.saved["id"]


def said(text: str) -> list[dict[str, str]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]
