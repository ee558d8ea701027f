"""The domain's small promises: money, ids, masks, gateway keys, bindings."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain import errors
from ownkey.domain.credentials import Binding
from ownkey.domain.gateway_keys import mint, present
from ownkey.domain.ids import id_day, id_time_ms, new_id
from ownkey.domain.money import parse_usd, round_nanousd, usd_string, with_margin
from ownkey.domain.secrets import Secret, mask
from ownkey.domain.usage import COUNTED, USAGE_BUCKETS, Usage

nanousd = st.integers(min_value=-(10**18), max_value=10**18)


@given(nanousd)
def test_dollars_on_the_wire_are_exact(amount: int) -> None:
    assert parse_usd(usd_string(amount)) == amount


@pytest.mark.parametrize("text", ["", "ten", "NaN", "Infinity", "0.0000000001", "1e400000"])
def test_what_is_no_amount_of_nanodollars_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_usd(text)


def test_money_is_rounded_half_to_even() -> None:
    assert [round_nanousd(Decimal(text)) for text in ("0.5", "1.5", "2.5", "2.51")] == [0, 2, 2, 3]
    assert with_margin(100, Decimal(5)) == 105


def test_ids_sort_by_time_and_tell_their_day() -> None:
    ids = [new_id("req", at_ms) for at_ms in (0, 1, 1_763_715_600_000, 1_763_715_600_001)]
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert id_time_ms(ids[2]) == 1_763_715_600_000
    assert id_day(ids[2]) == "2025-11-21"
    for wrong in ("", "req_", "req_short", ids[0][:-1] + "!"):
        with pytest.raises(ValueError):
            id_time_ms(wrong)


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("sk-very-secret-value")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr({"k": secret}), repr([secret])]
    assert all("very" not in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
    assert copy.deepcopy(secret) is secret
    assert secret == Secret("sk-very-secret-value") != Secret("sk-other")


@given(st.text(min_size=0, max_size=200))
def test_a_mask_shows_at_most_eight_characters(text: str) -> None:
    shown = mask(text)
    assert len(shown) <= 9
    assert len(text) >= 20 or shown == "…"


def test_masks_people_know() -> None:
    assert mask("sk-proj-0123456789abcdefAbCd") == "sk-…AbCd"
    assert mask("gsk_0123456789abcdefAbCd") == "gsk_…AbCd"
    assert mask("0123456789abcdef0123456789") == "…6789"


@given(st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,46}[A-Za-z0-9])?", fullmatch=True))
def test_a_minted_key_names_its_account(account_id: str) -> None:
    key = mint(account_id).reveal()
    presented = present(key)
    assert presented is not None
    assert presented.account_id == account_id


@given(st.integers(min_value=0, max_value=200), st.characters(codec="ascii"))
def test_a_changed_character_is_refused_without_asking_anybody(position: int, char: str) -> None:
    key = mint("acme").reveal()
    position %= len(key)
    changed = key[:position] + char + key[position + 1 :]
    assert changed == key or present(changed) is None


def test_a_broken_own_key_is_not_taken_for_a_foreign_one() -> None:
    broken = mint("acme").reveal()[:-1] + "!"
    assert present(broken) is None
    key = mint("acme").reveal()
    last = "A" if key[-1] != "A" else "B"
    assert present(key[:-1] + last, allow_foreign=True) is None


names = st.text(max_size=12)


@given(
    st.tuples(names, names, names, st.integers(0, 9), names), st.tuples(names, names, names, st.integers(0, 9), names)
)
def test_no_two_identities_share_their_associated_data(one: tuple, other: tuple) -> None:
    same = Binding(*one).associated_data() == Binding(*other).associated_data()
    assert same == (one == other)


@given(st.dictionaries(st.sampled_from(USAGE_BUCKETS), st.integers(0, 10**9)))
def test_usage_survives_its_item_and_adds_up(buckets: dict[str, int]) -> None:
    usage = Usage(**buckets)
    assert Usage.from_item(usage.to_item()) == usage
    assert usage.total_tokens == sum(count for bucket, count in buckets.items() if bucket not in COUNTED)


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(sub) for sub in cls.__subclasses__()))


def test_every_error_is_drawn_in_the_tree_with_its_status_and_code() -> None:
    tree = errors.__doc__ or ""
    for cls in subclasses(errors.OwnkeyError):
        if cls.__module__ != errors.__name__:
            continue
        assert cls.__name__ in tree
        assert cls.default_fix
    codes = [cls.code for cls in subclasses(errors.OwnkeyError) if not cls.__subclasses__()]
    assert len(codes) == len(set(codes)) or codes.count("provider_error") == 2
