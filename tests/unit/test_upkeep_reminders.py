"""Reminders of credentials about to expire: 30, 7 and 1 days before, once each, in the log and on the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.times import rfc3339
from ownkey.registry.audit import AuditTrail
from ownkey.store.events import Events
from ownkey.upkeep.reminders import Reminders
from tests.support.aws import Tables, boto
from tests.support.management import OPENAI_KEY_2, Management, management

ENDS = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Bus:
    """What was put on it."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    broken: bool = False

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        if self.broken:
            raise StoreUnavailable("EventBridge did not answer.")
        self.events.append((detail_type, dict(detail)))


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
def bus() -> Bus:
    return Bus()


async def remind(api: Management, bus: Bus, *, before: timedelta) -> int:
    trail = AuditTrail(api.tables.db, api.tables.audit)
    return await Reminders(api.registry, trail, bus, now=lambda: ENDS - before).run()


async def entries(api: Management) -> list[dict[str, Any]]:
    return [row for row in await api.log() if row["action"] == "credential.expiring"]


async def test_a_year_of_daily_runs_reminds_three_times(api: Management, bus: Bus) -> None:
    saved = await api.save(expires_at=rfc3339(ENDS), alias="Team A")
    sent = {days: await remind(api, bus, before=timedelta(days=days)) for days in range(365, -5, -1)}
    assert {days for days, count in sent.items() if count} == {30, 7, 1}
    assert sum(sent.values()) == 3
    assert [detail["days"] for _, detail in bus.events] == [30, 7, 1]
    kind, detail = bus.events[0]
    assert kind == "Credential Expiring"
    assert (
        detail.items()
        >= {
            "account": "acme",
            "credential_id": saved["id"],
            "version": 1,
            "provider": "openai",
            "alias": "Team A",
            "expires_at": rfc3339(ENDS),
        }.items()
    )
    logged = await entries(api)
    assert {row["id"] for row in logged} == {detail["id"] for _, detail in bus.events}
    assert {(row["actor_kind"], row["actor_id"]) for row in logged} == {("system", "upkeep")}


async def test_a_run_that_comes_again_reminds_of_nothing_again(api: Management, bus: Bus) -> None:
    await api.save(expires_at=rfc3339(ENDS))
    for hour in range(24):
        await remind(api, bus, before=timedelta(days=7, hours=-hour))
    assert len(bus.events) == len(await entries(api)) == 1


async def test_what_is_saved_late_is_reminded_of_by_what_is_left(api: Management, bus: Bus) -> None:
    """Not of the 30 and 7 days that were never there."""
    await api.save(expires_at=rfc3339(ENDS))
    await remind(api, bus, before=timedelta(hours=5))
    assert [detail["days"] for _, detail in bus.events] == [1]


async def test_another_date_is_another_reminder(api: Management, bus: Bus) -> None:
    saved = await api.save(expires_at=rfc3339(ENDS))
    await remind(api, bus, before=timedelta(days=5))
    await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"expires_at": rfc3339(ENDS + timedelta(days=1))})
    await remind(api, bus, before=timedelta(days=5))
    assert len(bus.events) == 2


async def test_a_rotated_key_is_no_longer_reminded_of(api: Management, bus: Bus) -> None:
    saved = await api.save(expires_at=rfc3339(ENDS))
    await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2})
    assert await remind(api, bus, before=timedelta(days=1)) == 0


async def test_without_a_date_or_after_it_there_is_nothing_to_say(api: Management, bus: Bus) -> None:
    await api.save()
    await api.save(expires_at=rfc3339(ENDS))
    assert await remind(api, bus, before=timedelta(0)) == 0
    assert await remind(api, bus, before=timedelta(days=-3)) == 0


async def test_a_bus_that_is_down_loses_the_event_and_not_the_entry(api: Management, bus: Bus) -> None:
    await api.save(expires_at=rfc3339(ENDS))
    bus.broken = True
    assert await remind(api, bus, before=timedelta(days=7)) == 1
    assert len(await entries(api)) == 1


async def test_an_event_reaches_the_accounts_bus(tables: Tables) -> None:
    """A rule of the operator's own sees it: source, type and detail are what docs/keys.md says."""
    events, queues = boto("events", tables.endpoint), boto("sqs", tables.endpoint)
    queue = queues.create_queue(QueueName=f"reminders-{tables.audit}")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="reminders", EventPattern='{"source": ["ownkey"], "detail-type": ["Credential Expiring"]}')
    events.put_targets(Rule="reminders", Targets=[{"Id": "queue", "Arn": arn}])
    await Events(tables.aws).put("Credential Expiring", {"account": "acme", "days": 7})
    (message,) = queues.receive_message(QueueUrl=queue)["Messages"]
    assert '"days": 7' in message["Body"].replace("\\", "").replace('":7', '": 7')
