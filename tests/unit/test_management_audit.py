"""The audit log: every action of management and every unwrap, written before it happens, and read by those who may."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, new_audit_id, settled_audit_id
from ownkey.domain.credentials import Binding
from ownkey.domain.errors import CredentialUndecryptable, StoreUnavailable
from ownkey.domain.secrets import Secret
from ownkey.http.management.auditing import ACTIONS, CHANGING
from ownkey.registry.audit import AuditFilter, AuditPage, AuditTrail, Cause, cause
from ownkey.store.dynamodb import Item
from ownkey.vault import Opener, Sealer
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, FakeKms
from tests.support.management import OPENAI_KEY, OPENAI_KEY_2, OPERATOR, Management, management

PAGE = Path(__file__).parents[2] / "docs/audit.md"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def items(api: Management, account_id: str = "acme") -> list[Item]:
    return await api.tables.db.query_all(api.tables.audit, f"AUDIT#{account_id}")


class TestWhatIsWritten:
    async def test_who_did_what_to_which_credential_from_where(self, api: Management) -> None:
        headers = {"user-agent": "console/1.0"}
        saved = await api.ok("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY}, headers=headers)
        response = await api.call("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2}, by="adi")
        rotated, created = await api.log()
        assert {
            "actor_kind": "user",
            "actor_id": "ann",
            "action": "credential.created",
            "outcome": "succeeded",
            "status": 201,
            "error_code": None,
            "source_ip": "127.0.0.1",
            "user_agent": "console/1.0",
        }.items() <= created.items()
        assert {"credential_id": saved["id"], "version": 1, "provider": "openai"}.items() <= created["target"].items()
        assert (rotated["action"], rotated["actor_id"]) == ("credential.rotated", "adi")
        assert {"credential_id": saved["id"], "version": 2}.items() <= rotated["target"].items()
        assert rotated["request_id"] == response.headers["x-ownkey-request-id"]

    async def test_it_is_written_before_anything_happens(
        self, api: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The provider is asked, and sees the entry there already: its outcome nobody knows yet."""
        seen: list[dict[str, Any]] = []
        validate = api.validation.validate

        async def looking(candidate: Any) -> Any:
            seen.extend(await api.log())
            return await validate(candidate)

        monkeypatch.setattr(api.validation, "validate", looking)
        await api.save()
        assert [(row["action"], row["outcome"]) for row in seen] == [("credential.created", "unknown")]
        assert [row["outcome"] for row in await api.log()] == ["succeeded"]

    async def test_what_cannot_be_logged_is_not_done(self, api: Management, monkeypatch: pytest.MonkeyPatch) -> None:
        async def down(*_: Any) -> Any:
            raise StoreUnavailable("DynamoDB did not answer.")

        monkeypatch.setattr(AuditTrail, "append", down)
        status, error = await api.refused("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY})
        assert (status, error["code"]) == (503, "store_unavailable")
        assert api.validation.asked == []
        assert await api.registry.credentials("acme") == []

    async def test_an_end_that_is_lost_leaves_the_outcome_open_and_a_line_in_the_log(
        self, api: Management, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def down(*_: Any) -> Any:
            raise StoreUnavailable("DynamoDB did not answer.")

        monkeypatch.setattr(AuditTrail, "end", down)
        saved = await api.save()
        assert [row["outcome"] for row in await api.log()] == ["unknown"]
        assert saved["id"] in await api.stored()
        assert [record.levelname for record in caplog.records if "audit entry was lost" in record.message] == ["ERROR"]

    async def test_a_members_refusal_is_logged_with_its_reason(self, api: Management) -> None:
        await api.refused("POST", "/api/byok", by="mia", json={"provider": "OpenAI", "key": OPENAI_KEY})
        (row,) = await api.log()
        assert (row["actor_id"], row["action"], row["outcome"]) == ("mia", "credential.created", "refused")
        assert (row["status"], row["error_code"]) == (403, "forbidden")

    async def test_a_key_that_its_provider_rejects_is_logged_too(self, api: Management) -> None:
        api.validation.reject(OPENAI_KEY)
        await api.refused("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY})
        (row,) = await api.log()
        assert (row["outcome"], row["status"], row["error_code"]) == ("refused", 422, "credential_rejected")

    async def test_a_failure_of_ours_is_logged_as_one(self, api: Management, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("broken")

        monkeypatch.setattr(api.registry, "remove_member", broken)
        await api.refused("DELETE", "/api/accounts/acme/members/mia")
        (row,) = await api.log()
        assert (row["outcome"], row["status"], row["error_code"]) == ("failed", 500, "internal_error")

    async def test_strangers_write_nothing_into_an_accounts_log(self, api: Management) -> None:
        here = {"x-ownkey-account": "acme"}
        await api.refused("POST", "/api/byok", by="oz", headers=here, json={"provider": "OpenAI", "key": OPENAI_KEY})
        await api.refused("DELETE", "/api/accounts/acme/members/mia", by="oz")
        await api.refused("POST", "/api/accounts/acme/deposits", by="oz", json={"amount_usd": "1"})
        assert await items(api) == []

    async def test_reading_is_no_action(self, api: Management) -> None:
        for path in ("/api/byok", "/api/gateway-keys", "/api/audit", "/api/accounts/acme"):
            await api.ok("GET", path)
        assert await items(api) == []

    async def test_the_operator_is_told_apart(self, api: Management) -> None:
        await api.ok("PATCH", "/api/accounts/acme", by=OPERATOR, json={"disabled": True})
        await api.call("POST", "/api/accounts/acme/deposits", by=OPERATOR, json={"amount_usd": "10"})
        rows = await api.log()
        assert [(row["actor_kind"], row["actor_id"]) for row in rows] == [("operator", OPERATOR)] * 2
        assert rows[1]["details"] == {"disabled": True}
        assert rows[0]["target"].keys() == {"deposit_id"}

    async def test_what_concerns_no_account_stands_in_the_platforms_log(self, api: Management) -> None:
        await api.ok("POST", "/api/accounts", by=OPERATOR, json={"id": "unit-7", "name": "Unit 7"})
        (row,) = await api.log("?account=platform", by=OPERATOR)
        assert (row["action"], row["target"]["account_id"]) == ("account.created", "unit-7")

    async def test_an_owner_who_asks_for_credits_is_refused_in_the_log_as_well(self, api: Management) -> None:
        await api.refused("POST", "/api/accounts/acme/deposits", json={"amount_usd": "10"})
        (row,) = await api.log()
        assert (row["action"], row["outcome"]) == ("deposit.requested", "refused")

    async def test_provider_keys_of_a_gateway_key_are_logged_under_it(self, api: Management) -> None:
        key_id = (await api.gateway_key())["id"]
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": OPENAI_KEY}})
        row = (await api.log())[0]
        assert (row["action"], row["target"]["gateway_key_id"]) == ("gateway_key.provider_keys_set", key_id)

    async def test_every_route_that_changes_something_has_a_name(self, api: Management) -> None:
        routes = {
            (method, route.path)
            for route in iter_route_contexts(api.app.routes)
            for method in route.methods or ()
            if method in CHANGING and route.path.startswith("/api/")
        }
        assert routes == set(ACTIONS)

    def test_the_page_has_every_action(self) -> None:
        rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
        written = {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
        by_itself = {
            "credential.leak_suspected",
            "credential.unwrapped",
            "credential.expiring",
            "budget.threshold",
            "ledger.differs",
            "ledger.rebuilt",
            "payment.noted",
        }
        assert written == {*ACTIONS.values(), *by_itself}

    @pytest.mark.parametrize("agent", ["x" * 500, "ü\x00\x1b[31m", f"curl {OPENAI_KEY}"])
    async def test_a_user_agent_is_text_without_secrets_and_short(self, api: Management, agent: str) -> None:
        await api.call("DELETE", "/api/accounts/acme/members/mia", headers={"user-agent": agent.encode()})
        (row,) = await api.log()
        assert len(row["user_agent"]) <= 200
        assert row["user_agent"].isprintable()
        assert OPENAI_KEY[8:] not in row["user_agent"]

    async def test_what_a_path_names_is_kept_only_where_it_is_something(self, api: Management) -> None:
        """Whatever is pasted into a path may be a key."""
        await api.refused("DELETE", f"/api/byok/{OPENAI_KEY}")
        await api.refused("DELETE", f"/api/accounts/acme/members/{OPENAI_KEY}")
        assert OPENAI_KEY not in str(await items(api))
        assert [row["target"] for row in await api.log()] == [{}, {}]


class TestAppending:
    async def test_an_entry_is_never_written_over(self, tables: Tables) -> None:
        trail = AuditTrail(tables.db, tables.audit)
        first = entry(action="credential.expiring", id=settled_audit_id(NOON, "cred_1", "30"))
        assert await trail.append(first)
        assert not await trail.append(entry(action="other", id=settled_audit_id(NOON, "cred_1", "30")))
        assert [each.action for each in (await page(trail)).entries] == ["credential.expiring"]

    def test_a_settled_id_is_of_its_time_and_subject(self) -> None:
        assert settled_audit_id(NOON, "a", "b") == settled_audit_id(NOON, "a", "b")
        assert settled_audit_id(NOON, "a", "b") != settled_audit_id(NOON, "ab", "")
        assert settled_audit_id(NOON, "z") < new_audit_id(NOON + timedelta(milliseconds=1))


class TestUnwraps:
    """Hooked to the vault: one entry for each call to KMS, in the background, in the request's name."""

    BINDING = Binding("acme", "openai", "cred_1", 3, "https://api.openai.com/v1")

    async def test_an_unwrap_names_credential_version_and_request(self, tables: Tables) -> None:
        kms, trail = FakeKms(), AuditTrail(tables.db, tables.audit, function="inference")
        sealed = await Sealer(kms, KMS_KEY).seal(self.BINDING, {"key": Secret(OPENAI_KEY)}, now="t")
        opener = Opener(kms, on_open=lambda _: None, on_unwrap=trail.note_unwrap)
        cause.set(Cause("req_1", "acme", "192.0.2.7", {"gateway_key_id": "gk_1"}))
        for _ in range(3):
            await opener.open(self.BINDING, sealed)
        await trail.drain()
        (found,) = (await page(trail)).entries
        assert (found.actor_kind, found.actor_id, found.action) == (
            ActorKind.FUNCTION,
            "inference",
            "credential.unwrapped",
        )
        assert (found.outcome, found.request_id, found.source_ip) == (AuditOutcome.SUCCEEDED, "req_1", "192.0.2.7")
        assert found.facts == {
            "gateway_key_id": "gk_1",
            "credential_id": "cred_1",
            "version": 3,
            "provider": "openai",
            "destination": "https://api.openai.com/v1",
        }

    @pytest.mark.parametrize("owner", ["acme", "platform", "donor"])
    async def test_an_unwrap_for_anothers_request_says_nothing_of_it(self, tables: Tables, owner: str) -> None:
        """The operator's log names the request that his credential served; that of an account that shares does not."""
        trail = AuditTrail(tables.db, tables.audit, function="inference")
        cause.set(Cause("req_1", "acme", "192.0.2.7", {"gateway_key_id": "gk_1"}))
        trail.note_unwrap(Binding(owner, "openai", "cred_1", 3, "https://api.openai.com/v1"), "opened")
        await trail.drain()
        (found,) = (await trail.page(owner, AuditFilter())).entries
        told = (found.request_id, found.source_ip, found.facts.get("gateway_key_id"), found.facts.get("shared"))
        assert told == ((None, None, None, True) if owner == "donor" else ("req_1", "192.0.2.7", "gk_1", None))

    async def test_a_refused_unwrap_is_one_too(self, tables: Tables) -> None:
        kms, trail = FakeKms(), AuditTrail(tables.db, tables.audit, function="validation")
        sealed = await Sealer(kms, KMS_KEY).seal(self.BINDING, {"key": Secret(OPENAI_KEY)}, now="t")
        other = Binding("acme", "openai", "cred_1", 4, "https://api.openai.com/v1")
        with pytest.raises(CredentialUndecryptable):
            await Opener(kms, on_open=lambda _: None, on_unwrap=trail.note_unwrap).open(other, sealed)
        await trail.drain()
        entries = (await page(trail)).entries
        assert {each.outcome for each in entries} <= {AuditOutcome.REFUSED}

    async def test_one_that_is_lost_fails_nobody_and_is_logged(
        self, tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def down(*_: Any) -> Any:
            raise StoreUnavailable("DynamoDB did not answer.")

        trail = AuditTrail(tables.db, tables.audit, function="inference")
        monkeypatch.setattr(trail, "append", down)
        trail.note_unwrap(self.BINDING, "opened")
        await trail.drain()
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert (record.credential_id, record.version) == ("cred_1", 3)

    async def test_what_takes_too_long_is_left_to_finish_later(
        self, tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("ownkey.registry.audit._DRAIN_S", 0.01)
        gate = asyncio.Event()
        trail = AuditTrail(tables.db, tables.audit, function="inference")
        append = trail.append

        async def slow(each: AuditEntry) -> bool:
            await gate.wait()
            return await append(each)

        monkeypatch.setattr(trail, "append", slow)
        trail.note_unwrap(self.BINDING, "opened")
        await trail.drain()
        assert [record.message for record in caplog.records] == ["audit entries are late"]
        gate.set()
        monkeypatch.setattr("ownkey.registry.audit._DRAIN_S", 5.0)
        await trail.drain()
        assert len((await page(trail)).entries) == 1


def entry(at: datetime = NOON, **changes: Any) -> AuditEntry:
    values: dict[str, Any] = {
        "id": new_audit_id(at),
        "account_id": "acme",
        "at": at.isoformat(),
        "actor_kind": ActorKind.USER,
        "actor_id": "ann",
        "action": "credential.rotated",
        "outcome": AuditOutcome.SUCCEEDED,
        "facts": {"credential_id": "cred_1"},
    }
    return AuditEntry(**values | changes)


async def page(trail: AuditTrail) -> AuditPage:
    return await trail.page("acme", AuditFilter())


class TestReading:
    @pytest.fixture
    async def filled(self, api: Management) -> Management:
        """Five hours of entries: one an hour, of two people, about two credentials."""
        trail = AuditTrail(api.tables.db, api.tables.audit)
        for hour in range(5):
            who, what = ("ann", "cred_1") if hour % 2 else ("adi", "cred_2")
            action = "credential.rotated" if hour < 3 else "gateway_key.revoked"
            at = NOON + timedelta(hours=hour)
            written = entry(at, actor_id=who, action=action, facts={"credential_id": what})
            await trail.append(written)
            await trail.end(written)
        return api

    @pytest.mark.parametrize(
        ("query", "hours"),
        [
            ("", [16, 15, 14, 13, 12]),
            ("?actor=ann", [15, 13]),
            ("?action=credential.rotated", [14, 13, 12]),
            ("?action=credential", [14, 13, 12]),
            ("?action=gateway_key", [16, 15]),
            ("?action=gateway", []),
            ("?credential_id=cred_2", [16, 14, 12]),
            ("?from=2026-11-21T14:00:00Z", [16, 15, 14]),
            ("?to=2026-11-21T14:00:00Z", [14, 13, 12]),
            ("?from=2026-11-21T12:30:00Z&to=2026-11-21T14:30:00%2B01:00", [13]),
            ("?actor=adi&action=credential&credential_id=cred_2&from=2026-11-21T13:00:00Z", [14]),
        ],
    )
    async def test_filters_go_together(self, filled: Management, query: str, hours: list[int]) -> None:
        rows = await filled.log(query)
        assert [datetime.fromisoformat(row["at"]).hour for row in rows] == hours

    @pytest.mark.parametrize("limit", [1, 2, 3, 5])
    @pytest.mark.parametrize("query", ["", "&actor=adi", "&to=2026-11-21T15:00:00Z"])
    async def test_pages_are_the_whole_once(self, filled: Management, limit: int, query: str) -> None:
        whole = [row["id"] for row in await filled.log(f"?limit=100{query}")]
        found, cursor = [], ""
        for _ in range(10):
            answer = await filled.ok("GET", f"/api/audit?limit={limit}{query}{cursor}")
            found += [row["id"] for row in answer["data"]]
            assert len(answer["data"]) <= limit
            if answer["next_cursor"] is None:
                break
            cursor = f"&cursor={answer['next_cursor']}"
        assert found == whole

    async def test_a_filter_that_matches_little_answers_with_a_cursor_instead_of_running_on(
        self, filled: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ownkey.registry.audit._READ_AT_ONCE", 2)
        monkeypatch.setattr("ownkey.registry.audit._MAX_ROUNDS", 2)
        found, cursor, pages = [], "", 0
        while True:
            answer = await filled.ok("GET", f"/api/audit?actor=adi{cursor}")
            found += [datetime.fromisoformat(row["at"]).hour for row in answer["data"]]
            pages += 1
            if answer["next_cursor"] is None:
                break
            cursor = f"&cursor={answer['next_cursor']}"
        assert found == [16, 14, 12]
        assert pages > 2

    async def test_another_accounts_cursor_opens_nothing_of_it(self, filled: Management) -> None:
        cursor = (await filled.ok("GET", "/api/audit?limit=2"))["next_cursor"]
        assert (await filled.ok("GET", f"/api/audit?cursor={cursor}", by="oz"))["data"] == []

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("from=yesterday", "from"),
            ("to=2026-11-21T12:00:00", "to"),
            ("from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z", "from"),
            ("cursor=made-up", "cursor"),
            ("cursor=YXVkXzE", "cursor"),
            ("limit=0", "limit"),
            ("actor=", "actor"),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_named(self, api: Management, query: str, param: str) -> None:
        status, error = await api.refused("GET", f"/api/audit?{query}")
        assert (status, error["param"]) == (400, param)


class TestExport:
    async def test_a_line_of_json_for_each_entry(self, api: Management) -> None:
        await api.save()
        await api.gateway_key()
        response = await api.call("GET", "/api/audit/export")
        assert response.headers["content-type"] == "application/jsonl"
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert lines == await api.log()
        assert "x-ownkey-next-cursor" not in response.headers

    async def test_csv_is_a_table_with_a_head(self, api: Management) -> None:
        saved = await api.save()
        response = await api.call("GET", "/api/audit/export?format=csv&action=credential")
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        (row,) = csv.DictReader(io.StringIO(response.text))
        assert (row["action"], row["status"], row["error_code"]) == ("credential.created", "201", "")
        assert json.loads(row["target"])["credential_id"] == saved["id"]

    @pytest.mark.parametrize("start", ["=", "+", "-", "@"])
    async def test_no_cell_is_a_formula(self, api: Management, start: str) -> None:
        agent = f'{start}HYPERLINK("https://evil.example","x")'
        await api.call("DELETE", "/api/accounts/acme/members/mia", headers={"user-agent": agent})
        response = await api.call("GET", "/api/audit/export?format=csv")
        (row,) = csv.DictReader(io.StringIO(response.text))
        assert row["user_agent"] == f"'{agent}"

    async def test_what_is_more_than_one_export_holds_comes_by_cursor(self, api: Management) -> None:
        for _ in range(3):
            await api.gateway_key()
        first = await api.call("GET", "/api/audit/export?limit=2")
        assert len(first.text.splitlines()) == 2
        rest = await api.call("GET", f"/api/audit/export?limit=2&cursor={first.headers['x-ownkey-next-cursor']}")
        assert len(rest.text.splitlines()) == 1
        assert "x-ownkey-next-cursor" not in rest.headers


async def test_the_log_is_read_by_owners_and_admins(api: Management) -> None:
    for path in ("/api/audit", "/api/audit/export"):
        for person in ("ann", "adi"):
            await api.call("GET", path, by=person)
        for person in ("mia", "bea", OPERATOR):
            assert (await api.refused("GET", f"{path}?account=acme", by=person))[0] == 403
        assert (await api.refused("GET", f"{path}?account=acme", by="oz"))[0] == 404
