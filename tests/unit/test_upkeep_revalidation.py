"""The scheduled check: what was refused is asked about at each run, everything else once a day, each at its moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import GatewayFailure
from ownkey.domain.faults import Fault, FaultKind
from ownkey.registry.health import HealthBook
from ownkey.upkeep.revalidation import EVERY, Revalidation, turn_of
from ownkey.validation import Candidate, Finding, Kept, Verdict
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, OPENAI_KEY_2, OPERATOR, Management, management

DAY = timedelta(days=1)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables, keyless_credentials=True) as running:
        yield running


def check(api: Management, at: datetime, validation: Any = None) -> Revalidation:
    book = HealthBook(api.tables.db, api.tables.health)
    return Revalidation(api.registry, book, validation or api.validation, now=lambda: at)


def turn(credential_id: str, *, days: int) -> datetime:
    """The moment of a credential's turn, so many days from now."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + days * DAY + timedelta(seconds=turn_of(credential_id))


async def asked(api: Management, at: datetime) -> list[str]:
    """Of which credentials' versions a run at this time asks."""
    before = len(api.validation.candidates)
    await check(api, at).run()
    return sorted(f"{c.binding.credential_id}@{c.binding.version}" for c in api.validation.candidates[before:])


async def refuse(api: Management, saved: dict[str, Any], kind: FaultKind, version: int = 1) -> None:
    book = HealthBook(api.tables.db, api.tables.health)
    await book.found("acme", saved["id"], version, Fault(kind, "said the provider"))


async def test_each_credential_has_its_turn_once_a_day(api: Management) -> None:
    saved = [await api.save() for _ in range(4)]
    start = datetime.now(UTC) + 2 * DAY
    turns: list[str] = []
    for run in range(DAY // EVERY):
        turns += await asked(api, start + run * EVERY)
    assert sorted(turns) == sorted(f"{each['id']}@1" for each in saved)


@pytest.mark.parametrize("late_s", [0, 119, 899, 1_000])
async def test_a_run_that_comes_late_loses_nobodys_turn(api: Management, late_s: int) -> None:
    saved = await api.save()
    assert await asked(api, turn(saved["id"], days=2) + timedelta(seconds=late_s)) == [f"{saved['id']}@1"]


async def test_who_was_asked_about_today_is_left_in_peace(api: Management) -> None:
    saved = await api.save()
    at = turn(saved["id"], days=2)
    assert await asked(api, at) == [f"{saved['id']}@1"]
    assert await asked(api, at + timedelta(minutes=10)) == []
    assert await asked(api, at + DAY) == [f"{saved['id']}@1"]


async def test_an_acceptance_is_noted_and_changes_nothing_else(api: Management) -> None:
    saved = await api.save()
    before = (await api.registry.account("acme")).version
    at = turn(saved["id"], days=2)
    assert await asked(api, at) == [f"{saved['id']}@1"]
    shown = await api.ok("GET", f"/api/byok/{saved['id']}")
    assert shown["validated_at"] == at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert shown["updated_at"] == saved["updated_at"]
    assert (await api.registry.account("acme")).version == before, "no warm function needs to read again"


async def test_other_verdicts_are_for_the_health_to_tell(api: Management) -> None:
    saved = await api.save()
    api.validation.reject(OPENAI_KEY)
    await check(api, turn(saved["id"], days=2)).run()
    shown = await api.ok("GET", f"/api/byok/{saved['id']}")
    assert shown["validated_at"] == saved["validated_at"]
    assert api.validation.candidates[-1].kept is Kept.FINDING, "validation notes what it finds"


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.UNDECRYPTABLE])
async def test_what_was_refused_is_asked_about_at_each_run(api: Management, kind: FaultKind) -> None:
    saved = await api.save()
    await refuse(api, saved, kind)
    away_from_its_turn = turn(saved["id"], days=1) + timedelta(hours=12)
    for run in range(3):
        assert await asked(api, away_from_its_turn + run * EVERY) == [f"{saved['id']}@1"]


@pytest.mark.parametrize("kind", [FaultKind.OUT_OF_FUNDS, FaultKind.RATE_LIMITED])
async def test_what_a_validation_cannot_see_is_no_reason_to_ask(api: Management, kind: FaultKind) -> None:
    saved = await api.save()
    await refuse(api, saved, kind)
    assert await asked(api, turn(saved["id"], days=1) + timedelta(hours=12)) == []


async def test_both_versions_of_a_credential_are_asked_about(api: Management) -> None:
    saved = await api.save()
    await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY_2, "keep_previous": True})
    assert await asked(api, turn(saved["id"], days=2)) == [f"{saved['id']}@1", f"{saved['id']}@2"]
    assert {key for _, key, _ in api.validation.asked[-2:]} == {OPENAI_KEY, OPENAI_KEY_2}
    await refuse(api, saved, FaultKind.REFUSED, version=1)
    assert await asked(api, turn(saved["id"], days=2) + timedelta(hours=12)) == [f"{saved['id']}@1"]


async def test_keyless_and_platform_credentials_are_asked_about_too(api: Management) -> None:
    role = {
        "provider": "Bedrock",
        "role_arn": "arn:aws:iam::123456789012:role/ownkey-bedrock-a",
        "aws_region": "us-east-1",
    }
    keyless = await api.ok("POST", "/api/byok", json=role)
    body = {"provider": "OpenAI", "key": OPENAI_KEY}
    platform = await api.ok("POST", "/api/byok?account=platform", by=OPERATOR, json=body)
    for saved in (keyless, platform):
        assert await asked(api, turn(saved["id"], days=2)) == [f"{saved['id']}@1"]


async def test_disabled_and_shredded_ones_are_nobodys_question(api: Management) -> None:
    disabled = await api.save(disabled=True)
    shredded = await api.save()
    await refuse(api, disabled, FaultKind.REFUSED)
    await refuse(api, shredded, FaultKind.UNDECRYPTABLE)
    await api.ok("POST", f"/api/byok/{shredded['id']}/shred", json={"confirm": shredded["id"]})
    for saved in (disabled, shredded):
        assert await asked(api, turn(saved["id"], days=2)) == []


async def test_one_that_cannot_be_asked_about_keeps_none_of_the_others_waiting(api: Management) -> None:
    good, bad = await api.save(), await api.save(key=OPENAI_KEY_2)
    for each in (good, bad):
        await refuse(api, each, FaultKind.REFUSED)

    class Failing:
        async def validate(self, candidate: Candidate) -> Finding:
            if candidate.binding.credential_id == bad["id"]:
                raise GatewayFailure("An internal function did not answer.")
            return Finding(Verdict.ACCEPTED, None, 200)

    done = await check(api, datetime.now(UTC), Failing()).run()
    assert (done.verdicts, done.unanswered, done.left) == ({"accepted": 1}, 1, 0)


async def test_a_run_ends_in_time_and_asks_first_about_what_was_refused(api: Management) -> None:
    for _ in range(6):
        await refuse(api, await api.save(), FaultKind.REFUSED)
    clock = iter(range(100))
    run = Revalidation(
        api.registry,
        HealthBook(api.tables.db, api.tables.health),
        api.validation,
        monotonic=lambda: next(clock),
    )
    done = await run.run(budget_s=4)
    assert 0 < sum(done.verdicts.values()) < 6
    assert sum(done.verdicts.values()) + done.left == 6


def test_turns_are_spread_over_the_day() -> None:
    hours = {turn_of(f"cred_{number}") // 3_600 for number in range(1_000)}
    assert hours == set(range(24))
