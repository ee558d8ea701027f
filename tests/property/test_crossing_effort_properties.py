"""Effort and budget are two words for one wish; a signature that travels in another dialect comes back as it was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.providers.crossing import EFFORTS, Conversation, Format, Reasoning
from ownkey.providers.crossing.effort import (
    DEFAULT_ROOM_TOKENS,
    MAX_BUDGET_TOKENS,
    MIN_BUDGET_TOKENS,
    RATIOS,
    budget_of,
    effort_of,
    nearest,
    room_of,
)
from ownkey.providers.crossing.signatures import unwrapped, wrapped

ROOMS = st.integers(1, 1_000_000)
FORMATS = st.sampled_from(list(Format))


@given(st.sampled_from(EFFORTS), ROOMS)
def test_a_budget_is_its_efforts_share_within_bounds(effort: str, room: int) -> None:
    budget = budget_of(Reasoning(effort=effort), room)
    if effort == "none":
        assert budget == 0
    else:
        assert MIN_BUDGET_TOKENS <= budget <= MAX_BUDGET_TOKENS
        assert budget == int(room * RATIOS[effort]) or budget in (MIN_BUDGET_TOKENS, MAX_BUDGET_TOKENS)


@given(ROOMS)
def test_more_effort_is_never_less_budget(room: int) -> None:
    budgets = [budget_of(Reasoning(effort=effort), room) for effort in EFFORTS]
    assert budgets == sorted(budgets)


@given(st.sampled_from(EFFORTS[:-1]), st.integers(20_000, 130_000))
def test_a_budget_is_read_as_the_effort_it_was_made_of(effort: str, room: int) -> None:
    budget = budget_of(Reasoning(effort=effort), room)
    assert effort_of(Reasoning(budget_tokens=budget), room) == effort


@given(st.sampled_from(EFFORTS), st.sets(st.sampled_from(EFFORTS), min_size=1))
def test_the_nearest_effort_is_known_and_no_other_is_nearer(effort: str, known: set[str]) -> None:
    found = nearest(effort, sorted(known, key=EFFORTS.index))
    far = {each: abs(EFFORTS.index(each) - EFFORTS.index(effort)) for each in known}
    assert far[found] == min(far.values())
    assert all(EFFORTS.index(found) <= EFFORTS.index(each) for each in known if far[each] == far[found])


def test_a_wish_without_a_measure() -> None:
    assert budget_of(Reasoning(adaptive=True), 10_000) == 5_000
    assert effort_of(Reasoning(adaptive=True), 10_000) is None
    assert effort_of(Reasoning(budget_tokens=0), 10_000, ("low", "high")) == "low"
    assert room_of(Conversation(), None) == DEFAULT_ROOM_TOKENS
    assert room_of(Conversation(max_output_tokens=100), None) == 100


@settings(max_examples=50)
@given(
    st.text(max_size=40), FORMATS, FORMATS, st.none() | st.from_regex(r"[a-z]{2}_[A-Za-z0-9_-]{1,30}", fullmatch=True)
)
def test_a_signature_comes_back_as_it_was(signature: str, of: Format, within: Format, id: str | None) -> None:
    if not signature.startswith("ownkey:"):
        assert unwrapped(wrapped(signature, of, within, id), within) == (signature, of, None if of == within else id)
