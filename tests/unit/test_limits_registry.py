"""An account's limits against DynamoDB: the next request has them, and reads no more for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.errors import Conflict, InvalidParameter, NotFound
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey, mint, present
from ownkey.domain.limits import LimitScope, Measure, Window
from ownkey.registry import Registry
from ownkey.registry.limits import MAX_LIMITS_OF_ONE
from ownkey.store.dynamodb import DynamoDb
from tests.support.aws import Tables
from tests.support.limits import limit

NOW = "2026-11-21T09:00:00+00:00"
KINDS = [(measure, window) for measure in Measure for window in Window]


@pytest.fixture
async def registry(tables: Tables) -> Registry:
    registry = Registry(tables.db, tables.registry)
    await registry.create_account("acme", "Acme", now=NOW)
    await registry.create_account(PLATFORM_ACCOUNT, "Platform", now=NOW)
    return registry


@pytest.fixture
async def presented(registry: Registry) -> PresentedKey:
    found = present(mint("acme").reveal())
    assert found is not None
    key = GatewayKey(ids.new_id(ids.GATEWAY_KEY), "acme", "app", found.digest, "ok-…", NOW, "user")
    await registry.create_gateway_key(key)
    return found


async def test_a_limit_holds_on_the_next_request(registry: Registry, presented: PresentedKey) -> None:
    assert (await registry.read_for_request(presented)).own.limits == ()
    one = limit(scope=LimitScope.TAG, value="team=core", hard=False, alerts=(80,))

    await registry.create_limit(one)
    assert (await registry.read_for_request(presented)).own.limits == (one,)

    raised = replace(one, amount=120, updated_at=NOW)
    await registry.update_limit(raised, seen_updated_at=one.updated_at)
    assert (await registry.read_for_request(presented)).own.limits == (raised,)

    await registry.delete_limit(raised)
    assert (await registry.read_for_request(presented)).own.limits == ()


async def test_a_request_reads_no_more_for_limits(
    registry: Registry, presented: PresentedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    plain = DynamoDb._call

    async def counted(self: DynamoDb, operation: str, body: Any) -> Any:
        calls.append(operation)
        return await plain(self, operation, body)

    monkeypatch.setattr(DynamoDb, "_call", counted)
    await registry.read_for_request(presented)
    without = calls.copy()
    await registry.create_limit(limit())
    calls.clear()
    await registry.read_for_request(presented)
    assert calls == ["BatchGetItem", "Query"]
    assert without == ["BatchGetItem", "Query", "Query"]  # the platform's own snapshot, once


async def test_two_of_a_kind_are_refused(registry: Registry) -> None:
    one = limit()
    await registry.create_limit(one)
    with pytest.raises(Conflict, match=one.id):
        await registry.create_limit(limit(amount=5))
    await registry.create_limit(limit(amount=5, window=Window.DAY))


async def test_one_gateway_key_has_so_many_and_no_more_whoever_creates_them_at_once(registry: Registry) -> None:
    wanted = [
        limit(measure=measure, window=window, scope=LimitScope.GATEWAY_KEY, value="gk_1") for measure, window in KINDS
    ]
    most = MAX_LIMITS_OF_ONE[LimitScope.GATEWAY_KEY]
    for each in wanted[: most - 1]:
        await registry.create_limit(each)

    done = await asyncio.gather(*map(registry.create_limit, wanted[most - 1 :]), return_exceptions=True)

    assert len(await registry.limits("acme")) == most
    assert sum(each is None for each in done) == 1
    assert all(each is None or isinstance(each, InvalidParameter | Conflict) for each in done)
    await registry.create_limit(limit(scope=LimitScope.GATEWAY_KEY, value="gk_2"))


async def test_a_change_is_made_on_what_was_seen(registry: Registry) -> None:
    one = limit()
    await registry.create_limit(one)
    with pytest.raises(Conflict):
        await registry.update_limit(replace(one, amount=1), seen_updated_at="2020-01-01T00:00:00Z")
    await registry.delete_limit(one)
    with pytest.raises(Conflict):
        await registry.delete_limit(one)
    with pytest.raises(NotFound):
        await registry.limit("acme", one.id)


async def test_an_account_that_is_not_there_has_no_limits(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.create_limit(limit(account_id="nobody"))
