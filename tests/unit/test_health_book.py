"""Marks in DynamoDB: one item an account, and whoever writes knows what stands there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import (
    MAX_MARKS,
    Health,
    HealthState,
    Mark,
    after_fault,
    claimed,
    credential_key,
    model_key,
    provider_key,
)
from ownkey.registry.health import HealthBook, health_at, now_ms, to_health
from ownkey.store.dynamodb import ConditionFailed, Item, Key, Put, Update
from tests.support.aws import Tables

NOW = 1_790_000_000_000
PROVIDER = provider_key("openai", "https://api.openai.com/v1")


@pytest.fixture
def book(tables: Tables) -> HealthBook:
    return HealthBook(tables.db, tables.health)


def faulty(kind: FaultKind, at_ms: int = NOW, **fault: int) -> Callable[[Mark | None], Mark | None]:
    return lambda old: after_fault(old, Fault(kind, "what it said", **fault), at_ms)


async def note(book: HealthBook, key: str, kind: FaultKind, seen: Health | None = None, at_ms: int = NOW) -> None:
    await book.change("acme", key, faulty(kind, at_ms), seen=Health() if seen is None else seen, at_ms=at_ms)


async def test_what_is_noted_is_read(book: HealthBook) -> None:
    assert not await book.read("acme")
    await note(book, "cred_1@1", FaultKind.REFUSED)
    await note(book, "cred_1@1#gpt-4o", FaultKind.RATE_LIMITED)
    found = await book.read("acme")
    assert found.marks == {
        "cred_1@1": Mark(HealthState.REJECTED, FaultKind.REFUSED, NOW, None, "what it said"),
        "cred_1@1#gpt-4o": Mark(HealthState.COOLING, FaultKind.RATE_LIMITED, NOW, NOW + 5_000, "what it said"),
    }
    assert not await book.read("another")


async def test_what_a_newer_release_wrote_is_passed_over(book: HealthBook, tables: Tables) -> None:
    at = health_at(tables.health, "acme")
    strange = {"state": "levitating", "code": "refused", "at_ms": 1}
    known = {"state": "rejected", "code": "refused", "at_ms": 1, "strikes": 2}
    await tables.db.write(Put(at, {"a@1": strange, "b@1": known, "c@1": 7, "d@1": {}, "e@1": known | {"more": 1}}))
    assert list((await book.read("acme")).marks) == ["b@1"]
    await note(book, "a@1", FaultKind.REFUSED, await book.read("acme"))
    assert (await book.read("acme")).marks.keys() == {"a@1", "b@1"}, "what nobody can read stands in nobody's way"


async def test_of_many_that_learn_the_same_at_once_one_writes(book: HealthBook, tables: Tables) -> None:
    counting = CountingDb(tables.db)
    books = [HealthBook(counting, tables.health) for _ in range(8)]
    await asyncio.gather(
        *(note(each, "cred_1@1", FaultKind.OUT_OF_FUNDS, at_ms=NOW + n) for n, each in enumerate(books))
    )
    (found,) = (await book.read("acme")).marks.values()
    assert found.strikes == 1
    assert counting.written == 1


async def test_failures_counted_at_once_all_count(book: HealthBook) -> None:
    await asyncio.gather(*(note(book, PROVIDER, FaultKind.FAILING) for _ in range(3)))
    assert (await book.read("acme")).marks[PROVIDER].state is HealthState.OPEN


async def test_different_marks_do_not_get_in_each_others_way(book: HealthBook) -> None:
    await asyncio.gather(*(note(book, f"cred_{n}@1", FaultKind.REFUSED) for n in range(20)))
    assert len((await book.read("acme")).marks) == 20


async def test_of_many_probes_one_goes_out(book: HealthBook) -> None:
    for _ in range(3):
        await note(book, PROVIDER, FaultKind.FAILING, await book.read("acme"))
    later = NOW + 15_000
    _, probes = (await book.read("acme")).look([PROVIDER], later)
    claims = await asyncio.gather(*(book.claim("acme", probes, later) for _ in range(20)))
    assert claims.count(None) == 1
    standing = next(each for each in claims if each is not None)
    assert standing.look([PROVIDER], later) == (claimed(probes[PROVIDER], later), {})


async def test_all_of_a_probes_marks_are_claimed_or_none(book: HealthBook) -> None:
    for _ in range(3):
        await note(book, PROVIDER, FaultKind.FAILING, await book.read("acme"))
    await note(book, "cred_1@1", FaultKind.OUT_OF_FUNDS, await book.read("acme"))
    later = NOW + 3_600_000
    _, probes = (await book.read("acme")).look(["cred_1@1", PROVIDER], later)
    assert probes.keys() == {"cred_1@1", PROVIDER}
    await book.claim("acme", {PROVIDER: probes[PROVIDER]}, later)
    standing = await book.claim("acme", probes, later)
    assert standing is not None
    assert standing.marks["cred_1@1"].probe_until_ms is None


async def test_an_accepted_validation_clears_its_version_alone(book: HealthBook) -> None:
    for key in ("cred_1@1", "cred_1@2", "cred_2@1"):
        await note(book, key, FaultKind.REFUSED, await book.read("acme"))
    await book.accepted("acme", "cred_1", 2, unreserved=True)
    assert (await book.read("acme")).marks.keys() == {"cred_1@1", "cred_2@1"}


async def test_an_accepted_validation_lets_the_next_request_find_out_about_funds_and_models(book: HealthBook) -> None:
    at_ms = now_ms()
    await note(book, credential_key("cred_1", 1), FaultKind.OUT_OF_FUNDS, at_ms=at_ms)
    await note(book, model_key("cred_1", 1, "gpt-4o"), FaultKind.FORBIDDEN, at_ms=at_ms)
    await book.accepted("acme", "cred_1", 1, unreserved=False)
    assert (await book.read("acme")).look(["cred_1@1"], now_ms())[0] is not None
    await book.accepted("acme", "cred_1", 1, unreserved=True)
    blocking, probes = (await book.read("acme")).look(["cred_1@1", "cred_1@1#gpt-4o"], now_ms())
    assert blocking is None
    assert probes.keys() == {"cred_1@1", "cred_1@1#gpt-4o"}


async def test_what_a_validation_found_is_marked(book: HealthBook) -> None:
    await book.found("acme", "cred_1", 3, Fault(FaultKind.REFUSED, "Incorrect API key"))
    (found,) = (await book.read("acme")).marks.items()
    assert (found[0], found[1].state, found[1].reason) == ("cred_1@3", HealthState.REJECTED, "Incorrect API key")


async def test_the_item_is_bounded(book: HealthBook, tables: Tables) -> None:
    marks = {f"cred_{n}@1#m": after_fault(None, Fault(FaultKind.FORBIDDEN), NOW + n) for n in range(MAX_MARKS + 30)}
    rows = {key: asdict(mark) | {"state": "rejected", "code": "forbidden"} for key, mark in marks.items() if mark}
    await tables.db.write(Put(health_at(tables.health, "acme"), rows))
    await note(book, "cred_new@1", FaultKind.REFUSED, await book.read("acme"))
    found = (await book.read("acme")).marks
    assert len(found) == MAX_MARKS
    assert "cred_new@1" in found
    assert "cred_0@1#m" not in found


# ── Any number of environments, each with what it saw when it began


class CountingDb:
    """The product's own, counting the writes that were made."""

    def __init__(self, db: object) -> None:
        self._db = db
        self.written = 0

    async def get(self, key: Key) -> Item | None:
        return await self._db.get(key)  # type: ignore[attr-defined]

    async def write(self, action: Update) -> None:
        await self._db.write(action)  # type: ignore[attr-defined]
        self.written += 1


class MemoryDb:
    """One table in memory that understands the updates of marks; each call lets the others run first."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}

    async def get(self, key: Key) -> Item | None:
        await asyncio.sleep(0)
        return dict(self.items[key]) if key in self.items else None

    async def write(self, action: Update) -> None:
        await asyncio.sleep(0)
        item = self.items.get(action.key)
        for condition in (action.condition or "").split(" AND "):
            name = action.names[condition.removeprefix("attribute_not_exists(").split()[0].rstrip(")")]
            wanted = action.values.get(condition.rpartition(" = ")[2]) if " = " in condition else None
            if (item or {}).get(name) != wanted:
                raise ConditionFailed(item=dict(item) if item else None)
        changed = dict(item or {"pk": action.key.pk, "sk": action.key.sk})
        sets, _, removes = action.expression.partition("REMOVE ")
        for part in filter(None, sets.removeprefix("SET ").strip().split(", ")):
            name, value = part.split(" = ")
            changed[action.names[name]] = action.values[value]
        for part in filter(None, removes.split(", ")):
            changed.pop(action.names[part], None)
        self.items[action.key] = changed


EVENTS = st.tuples(st.sampled_from(["cred_1@1", "cred_1@1#m", "cred_1@2", PROVIDER]), st.sampled_from(list(FaultKind)))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.lists(EVENTS, min_size=1, max_size=4), min_size=1, max_size=5))
def test_however_writes_interleave_each_is_decided_on_what_stands_there(
    requests: list[list[tuple[str, FaultKind]]],
) -> None:
    """No failure of a provider goes uncounted, and of what is said of a key the worst stands, whoever came last."""
    db = MemoryDb()

    async def serve(events: list[tuple[str, FaultKind]]) -> None:
        book = HealthBook(db, "health")  # type: ignore[arg-type]
        seen = await book.read("acme")
        for key, kind in events:
            if (kind is FaultKind.FAILING) != (key == PROVIDER):
                continue
            await book.change("acme", key, faulty(kind), seen=seen, at_ms=NOW)

    async def all_of_them() -> None:
        await asyncio.gather(*(serve(events) for events in requests))

    asyncio.run(all_of_them())
    said = [event for events in requests for event in events]
    asked = [(key, kind) for key, kind in said if (kind is FaultKind.FAILING) == (key == PROVIDER)]
    found = to_health(db.items.get(health_at("health", "acme"))).marks
    assert found.keys() == {key for key, _ in asked}
    failures = sum(kind is FaultKind.FAILING for _, kind in asked)
    if failures:
        state = HealthState.OPEN if failures >= 3 else HealthState.SUSPECT
        assert found[PROVIDER].state is state
        assert state is HealthState.OPEN or found[PROVIDER].failures == failures
    for key in found.keys() - {PROVIDER}:
        for_good = (key, FaultKind.REFUSED) in asked
        assert (found[key].until_ms is None) == for_good
