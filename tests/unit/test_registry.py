"""The registry against DynamoDB: what the next request sees after each change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.credentials import Credential, PoolStrategy, SealedSecret
from ownkey.domain.errors import Conflict, Forbidden, GatewayKeyExpired, GatewayKeyRevoked, InvalidGatewayKey, NotFound
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.gateway_keys import GatewayKey, PresentedKey, digest_of, mint, present
from ownkey.registry import (
    CreateCredential,
    DeleteCredential,
    Registry,
    RotateCredential,
    UpdateCredential,
)
from ownkey.registry.health import HealthBook
from ownkey.store import keys
from ownkey.store.dynamodb import Key, Update
from tests.support.aws import Tables

NOW = "2026-11-21T09:00:00+00:00"


def credential(account_id: str = "acme", name: str = "cred_1", **values: object) -> Credential:
    defaults: dict[str, object] = {
        "id": name,
        "account_id": account_id,
        "provider_id": "openai",
        "alias": "main",
        "mask": "sk-…AbCd",
        "version": 1,
        "destination": "https://api.openai.com/v1",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Credential(**(defaults | values))


def sealed(version: int = 1, ciphertext: bytes = b"one") -> SealedSecret:
    return SealedSecret(version, b"wrapped", "arn:key", b"nonce", ciphertext, b"commitment", NOW)


@pytest.fixture
async def registry(tables: Tables) -> Registry:
    registry = Registry(tables.db, tables.registry)
    await registry.create_account("acme", "Acme", now=NOW)
    await registry.create_account(PLATFORM_ACCOUNT, "Platform", now=NOW)
    return registry


async def issue(registry: Registry, account_id: str = "acme", **values: object) -> tuple[PresentedKey, GatewayKey]:
    plain = mint(account_id).reveal()
    presented = present(plain)
    assert presented is not None
    key_id = ids.new_id(ids.GATEWAY_KEY)
    key = GatewayKey(key_id, account_id, "app", presented.digest, "ok-…abcd", NOW, "user", **values)
    await registry.create_gateway_key(key)
    return presented, key


async def test_a_request_sees_its_key_account_and_credentials(registry: Registry) -> None:
    presented, key = await issue(registry)
    own = credential(headers={"organization": "org-1"}, allowed_models=("gpt-4o",), weight=3)
    await registry.apply("acme", [CreateCredential(own, sealed())])

    view = await registry.read_for_request(presented)

    assert (view.key, view.account.id) == (key, "acme")
    assert [(s.credential, s.sealed) for s in view.own.credentials] == [(own, sealed())]
    assert view.platform.credentials == ()


async def test_rotation_update_and_removal_hold_on_the_next_request(registry: Registry) -> None:
    presented, _ = await issue(registry)
    first = credential()
    await registry.apply("acme", [CreateCredential(first, sealed())])
    assert len((await registry.read_for_request(presented)).own.credentials) == 1

    second = replace(first, version=2, mask="sk-…WxYz")
    await registry.apply("acme", [RotateCredential(second, sealed(2, b"two"), first)])
    (stored,) = (await registry.read_for_request(presented)).own.credentials
    assert (stored.credential.mask, stored.sealed.ciphertext) == ("sk-…WxYz", b"two")

    third = replace(second, disabled=True, updated_at="later")
    await registry.apply("acme", [UpdateCredential(third, second.updated_at)])
    (stored,) = (await registry.read_for_request(presented)).own.credentials
    assert stored.credential.disabled

    await registry.apply("acme", [DeleteCredential(third)])
    assert (await registry.read_for_request(presented)).own.credentials == ()


async def test_a_snapshot_is_read_once_for_each_version(registry: Registry) -> None:
    presented, _ = await issue(registry)
    await registry.apply("acme", [CreateCredential(credential(), sealed())])
    first = await registry.read_for_request(presented)
    assert (await registry.read_for_request(presented)).own is first.own


async def test_pools_and_health_come_in_the_same_round_trip(
    tables: Tables, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    presented, _ = await issue(registry)
    for account_id in ("acme", PLATFORM_ACCOUNT):
        await registry.apply(account_id, [CreateCredential(credential(account_id), sealed())])
        await registry.set_pool(account_id, "openai", PoolStrategy.WEIGHTED)
        await HealthBook(tables.db, tables.health).found(account_id, "cred_1", 1, Fault(FaultKind.REFUSED, account_id))
    reading = Registry(tables.db, tables.registry, tables.health)
    await reading.read_for_request(presented)
    calls = [0]
    call_json = tables.aws.call_json

    async def counted(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        return await call_json(*args, **kwargs)

    monkeypatch.setattr(tables.aws, "call_json", counted)
    view = await reading.read_for_request(presented)
    assert calls == [1]
    assert view.own.pools == view.platform.pools == {"openai": PoolStrategy.WEIGHTED}
    assert [mark.reason for mark in view.own_health.marks.values()] == ["acme"]
    assert [mark.reason for mark in view.platform_health.marks.values()] == [PLATFORM_ACCOUNT]


async def test_an_account_of_which_nothing_is_known_is_healthy(tables: Tables, registry: Registry) -> None:
    presented, _ = await issue(registry)
    view = await Registry(tables.db, tables.registry, tables.health).read_for_request(presented)
    assert not view.own_health
    assert not view.platform_health


async def test_a_strategy_that_a_newer_release_knows_is_the_default(tables: Tables, registry: Registry) -> None:
    presented, _ = await issue(registry)
    await registry.apply("acme", [CreateCredential(credential(), sealed())])
    at = Key(tables.registry, keys.account("acme"), keys.HEAD)
    await tables.db.write(Update(at, "SET pools = :pools", values={":pools": {"openai": "by-tarot", "groq": "random"}}))
    view = await registry.read_for_request(presented)
    assert view.own.pools == {"groq": PoolStrategy.RANDOM}


async def test_platform_credentials_come_along(registry: Registry) -> None:
    presented, _ = await issue(registry)
    await registry.apply(PLATFORM_ACCOUNT, [CreateCredential(credential(PLATFORM_ACCOUNT), sealed())])
    view = await registry.read_for_request(presented)
    assert [s.credential.account_id for s in view.platform.credentials] == [PLATFORM_ACCOUNT]


async def test_a_lost_race_changes_nothing(registry: Registry) -> None:
    first = credential()
    await registry.apply("acme", [CreateCredential(first, sealed())])
    await registry.apply("acme", [RotateCredential(replace(first, version=2), sealed(2), first)])
    before = await registry.account("acme")

    with pytest.raises(Conflict):
        await registry.apply("acme", [RotateCredential(replace(first, version=2), sealed(2, b"late"), first)])
    with pytest.raises(Conflict):
        await registry.apply("acme", [DeleteCredential(first)])
    stale = replace(first, version=2, alias="late", updated_at="later")
    with pytest.raises(Conflict):
        await registry.apply("acme", [UpdateCredential(stale, seen_updated_at="earlier")])

    assert await registry.account("acme") == before
    assert (await registry.credential("acme", first.id)).sealed.ciphertext == b"one"


async def test_changes_are_all_or_nothing(registry: Registry) -> None:
    taken = credential(name="cred_taken")
    await registry.apply("acme", [CreateCredential(taken, sealed())])
    with pytest.raises(Conflict):
        await registry.apply(
            "acme",
            [CreateCredential(credential(name="cred_new"), sealed()), CreateCredential(taken, sealed())],
        )
    assert [c.id for c in await registry.credentials("acme")] == ["cred_taken"]


async def test_keys_that_do_not_count_say_why(registry: Registry) -> None:
    unknown = present(mint("acme").reveal())
    assert unknown is not None
    with pytest.raises(InvalidGatewayKey):
        await registry.read_for_request(unknown)

    expired, _ = await issue(registry, expires_at="2020-01-01T00:00:00+00:00")
    with pytest.raises(GatewayKeyExpired, match="2020-01-01"):
        await registry.read_for_request(expired)

    presented, key = await issue(registry)
    await registry.revoke_gateway_key("acme", key.id, now=NOW)
    with pytest.raises(GatewayKeyRevoked, match="app"):
        await registry.read_for_request(presented)


async def test_a_disabled_account_is_refused(registry: Registry, tables: Tables) -> None:
    presented, _ = await issue(registry)
    head = Key(tables.registry, keys.account("acme"), keys.HEAD)
    await tables.db.write(Update(head, "SET disabled = :yes", values={":yes": True}))
    with pytest.raises(Forbidden, match="acme"):
        await registry.read_for_request(presented)


async def test_an_imported_key_finds_its_account_and_its_health(tables: Tables, registry: Registry) -> None:
    foreign = "sk-some-other-gateway-0123456789"
    await registry.create_gateway_key(
        GatewayKey("gk_2", "acme", "imported", digest_of(foreign), "sk-…6789", NOW, "user")
    )
    presented = present(foreign, allow_foreign=True)
    assert presented is not None
    assert (await registry.read_for_request(presented)).account.id == "acme"
    assert present(foreign) is None
    await HealthBook(tables.db, tables.health).found("acme", "cred_1", 1, Fault(FaultKind.REFUSED))
    view = await Registry(tables.db, tables.registry, tables.health).read_for_request(presented)
    assert view.own_health.marks.keys() == {"cred_1@1"}


async def test_other_accounts_are_unknown(registry: Registry) -> None:
    await registry.create_account("other", "Other", now=NOW)
    _, key = await issue(registry)
    await registry.apply("acme", [CreateCredential(credential(), sealed())])
    with pytest.raises(NotFound):
        await registry.credential("other", "cred_1")
    with pytest.raises(NotFound):
        await registry.gateway_key("other", key.id)
    with pytest.raises(NotFound):
        await registry.revoke_gateway_key("other", key.id, now=NOW)
    with pytest.raises(NotFound):
        await registry.apply("nobody", [CreateCredential(credential("nobody"), sealed())])


async def test_members_and_roles(registry: Registry) -> None:
    ann = Member("acme", "sub-1", "ann@example.com", Role.ADMIN, NOW)
    await registry.add_member(ann)
    with pytest.raises(Conflict):
        await registry.add_member(replace(ann, role=Role.OWNER))
    await registry.change_member(ann, replace(ann, role=Role.BILLING))
    with pytest.raises(Conflict):
        await registry.remove_member(ann)  # decided on a role that is no longer hers
    assert [(m.email, m.role) for m in await registry.members("acme")] == [("ann@example.com", Role.BILLING)]
    assert await registry.role("sub-1", "acme") is Role.BILLING
    assert await registry.role("sub-2", "acme") is None
    assert await registry.accounts_of("sub-1") == [("acme", Role.BILLING)]
    with pytest.raises(NotFound):
        await registry.add_member(Member("nobody", "sub-1", "a@example.com", Role.OWNER, NOW))


async def test_accounts_are_listed_and_their_settings_raise_the_version(registry: Registry) -> None:
    with pytest.raises(Conflict):
        await registry.create_account("acme", "Again", now=NOW)
    changed = await registry.update_account(await registry.account("acme"), platform_allowed=False)
    assert (changed.version, changed.platform_allowed, changed.name) == (2, False, "Acme")
    assert [head.id for head in await registry.accounts()] == ["acme", "platform"]
    assert await registry.account("acme") == changed
