"""What a card says of a credential: Active, Rejected, Cooling down until when, Undecryptable, Disabled (C15)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import after_fault, model_key, provider_key
from ownkey.registry.health import HealthBook
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY_2, Management, management

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(AT)
        yield running


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def mark(api: Management, key: str, fault: Fault, *, times: int = 1) -> None:
    """What a request learnt, at the API's own time."""
    book, at_ms = HealthBook(api.tables.db, api.tables.health), ms(api.clock[-1])
    for _ in range(times):
        seen = await book.read("acme")
        await book.change("acme", key, lambda old: after_fault(old, fault, at_ms), seen=seen, at_ms=at_ms)


async def read(api: Management, credential: dict[str, Any]) -> dict[str, Any]:
    one = await api.ok("GET", f"/api/byok/{credential['id']}")
    assert [row for row in (await api.ok("GET", "/api/byok"))["data"] if row["id"] == one["id"]] == [one]
    return {name: one[name] for name in ("status", "status_until", "status_code", "status_reason", "status_models")}


def version(credential: dict[str, Any], number: int = 1) -> str:
    return f"{credential['id']}@{number}"


async def test_nothing_known_is_active(api: Management) -> None:
    saved = await api.save()
    assert await read(api, saved) == {
        "status": "active",
        "status_until": None,
        "status_code": None,
        "status_reason": None,
        "status_models": None,
    }


async def test_a_refused_key_is_rejected_until_somebody_does_something(api: Management) -> None:
    saved = await api.save()
    await mark(api, version(saved), Fault(FaultKind.REFUSED, "Incorrect API key provided."))
    api.clock.append(AT + timedelta(days=3))
    assert await read(api, saved) == {
        "status": "rejected",
        "status_until": None,
        "status_code": "refused",
        "status_reason": "Incorrect API key provided.",
        "status_models": None,
    }
    rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
    assert rotated["status"] == "active"


async def test_a_key_without_funds_says_when_it_is_tried_again(api: Management) -> None:
    saved = await api.save()
    await mark(api, version(saved), Fault(FaultKind.OUT_OF_FUNDS, "You exceeded your current quota."))
    shown = await read(api, saved)
    assert (shown["status"], shown["status_code"]) == ("rejected", "out_of_funds")
    assert shown["status_until"] == "2026-11-21T08:15:00.000Z"


async def test_a_cooling_one_says_until_when_and_for_which_models(api: Management) -> None:
    saved = await api.save()
    for model in ("gpt-4o", "gpt-4o-mini"):
        await mark(api, model_key(saved["id"], 1, model), Fault(FaultKind.RATE_LIMITED, "Slow down.", wait_ms=20_000))
    shown = await read(api, saved)
    assert (shown["status"], shown["status_until"]) == ("cooling", "2026-11-21T08:00:20.000Z")
    assert shown["status_models"] == ["gpt-4o", "gpt-4o-mini"]
    api.clock.append(AT + timedelta(seconds=21))
    assert (await read(api, saved))["status"] == "active"


async def test_one_that_does_not_open_says_so(api: Management) -> None:
    saved = await api.save()
    reason = "KMS does not open this credential's key (DisabledException)."
    await mark(api, version(saved), Fault(FaultKind.UNDECRYPTABLE, reason))
    shown = await read(api, saved)
    assert (shown["status"], shown["status_reason"]) == ("undecryptable", reason)


async def test_a_disabled_one_is_nothing_else(api: Management) -> None:
    saved = await api.save(disabled=True)
    await mark(api, version(saved), Fault(FaultKind.REFUSED, "no"))
    assert (await read(api, saved))["status"] == "disabled"


async def test_a_failing_provider_is_not_the_keys_fault(api: Management) -> None:
    saved = await api.save()
    await mark(api, provider_key("openai", saved["base_url"]), Fault(FaultKind.FAILING, "502"), times=3)
    one = await api.ok("GET", f"/api/byok/{saved['id']}")
    assert (one["status"], one["provider_failing_until"]) == ("active", "2026-11-21T08:00:15.000Z")


async def test_each_version_has_its_own(api: Management) -> None:
    """The new key may be refused while the old one still serves, and the other way round."""
    saved = await api.save()
    await mark(api, version(saved), Fault(FaultKind.REFUSED, "revoked"))
    body = {"key": OPENAI_KEY_2, "keep_previous": True}
    rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json=body)
    assert rotated["status"] == "active"
    assert [(each["version"], each["status"]) for each in rotated["versions"]] == [(2, "active"), (1, "rejected")]
    assert rotated["versions"][1]["status_reason"] == "revoked"


async def test_it_says_how_sure_an_acceptance_is(api: Management) -> None:
    assert (await api.save())["validation"] == "verified"
    own = await api.save(provider="openai-compatible", base_url="https://llm.example/v1")
    assert own["validation"] == "unverified"
