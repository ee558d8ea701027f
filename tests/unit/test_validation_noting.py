"""What a finding means for a credential's marks: what may be kept of it, and that it is worth more than the note."""

from __future__ import annotations

import pytest

from ownkey.domain.credentials import Binding
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import HealthState
from ownkey.registry.health import HealthBook
from ownkey.validation import Candidate, Finding, Kept, Verdict
from ownkey.validation.noting import note_finding
from tests.support.aws import Tables

BINDING = Binding("acme", "openai", "cred_1", 3, "https://api.openai.com/v1")
ACCEPTED, REFUSED = Finding(Verdict.ACCEPTED, None, 200), Finding(Verdict.REJECTED, "no such key", 401)


@pytest.fixture
def book(tables: Tables) -> HealthBook:
    return HealthBook(tables.db, tables.health)


async def states(book: HealthBook) -> list[HealthState]:
    return [mark.state for mark in (await book.read("acme")).marks.values()]


@pytest.mark.parametrize(("kept", "after"), [("nothing", []), ("acceptance", []), ("finding", [HealthState.REJECTED])])
async def test_a_refusal_marks_what_was_asked_about_as_it_serves(book: HealthBook, kept: str, after: list) -> None:
    await note_finding(book, Candidate(BINDING, None, kept=Kept(kept)), REFUSED)
    assert await states(book) == after


@pytest.mark.parametrize(("kept", "after"), [("nothing", [HealthState.REJECTED]), ("acceptance", []), ("finding", [])])
async def test_an_acceptance_clears_what_serves_with_other_fields_too(book: HealthBook, kept: str, after: list) -> None:
    await book.found("acme", "cred_1", 3, Fault(FaultKind.REFUSED, "no"))
    await note_finding(book, Candidate(BINDING, None, kept=Kept(kept)), ACCEPTED)
    assert await states(book) == after


async def test_silence_says_nothing(book: HealthBook) -> None:
    await book.found("acme", "cred_1", 3, Fault(FaultKind.REFUSED, "no"))
    await note_finding(book, Candidate(BINDING, None, kept=Kept.FINDING), Finding(Verdict.UNREACHABLE))
    assert await states(book) == [HealthState.REJECTED]


async def test_a_table_that_does_not_answer_costs_the_note_and_is_in_the_log(
    book: HealthBook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("DynamoDB does not answer.")

    monkeypatch.setattr(book, "found", down)
    await note_finding(book, Candidate(BINDING, None, kept=Kept.FINDING), REFUSED)
    assert "a finding could not be noted" in caplog.text


async def test_a_mistake_of_ours_is_not_taken_for_one(book: HealthBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "found", None)
    with pytest.raises(TypeError):
        await note_finding(book, Candidate(BINDING, None, kept=Kept.FINDING), REFUSED)
