"""Stripe's events: which signatures count, which payments give credits, and what a person must look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain.errors import InvalidJson, InvalidSignature
from ownkey.domain.secrets import Secret
from ownkey.payments.notices import Concern, Nothing, Notice, Payment, Trouble
from ownkey.payments.signing import SigningSecretError, parse
from ownkey.payments.stripe import TOLERANCE_S, Stripe
from tests.support.payments import (
    CREATED_S,
    NEXT_SECRET,
    SECRET,
    WRONG_SECRET,
    charge,
    event,
    session,
    signature,
    text_of,
)

ROOT = Path(__file__).parents[2]
BODY = text_of(event(session()))


def verify(body: str | bytes, header: str, *secrets: str) -> None:
    raw = body if isinstance(body, bytes) else body.encode()
    Stripe(live=True).verify(raw, header, [Secret(each) for each in secrets or (SECRET,)])


def read(told: Any, *, live: bool = True) -> Notice:
    return Stripe(live=live).read(text_of(told).encode())


def trouble(told: Any, *, live: bool = True) -> Concern:
    notice = read(told, live=live)
    assert isinstance(notice, Concern), notice
    return notice


class TestSignature:
    def test_stripes_own_is_taken_until_it_is_five_minutes_old(self) -> None:
        verify(BODY, signature(BODY))
        verify(BODY, signature(BODY, age_s=TOLERANCE_S - 30))
        with pytest.raises(InvalidSignature):
            verify(BODY, signature(BODY, age_s=TOLERANCE_S + 30))

    def test_it_is_of_these_bytes_and_no_others(self) -> None:
        body = text_of(event(session(metadata={"note": "café ≠ cafe\u0301"})))
        verify(body, signature(body))
        for changed in (
            body.replace("5000", "9000"),
            body + " ",
            json.dumps(json.loads(body)),  # the same, escaped and spaced anew
            body.encode("utf-16"),
            body.encode() + b"\xff",
            b"",
        ):
            with pytest.raises(InvalidSignature):
                verify(changed, signature(body))

    def test_through_a_rotation_any_of_both_sides_secrets_will_do(self) -> None:
        verify(BODY, signature(BODY, SECRET, NEXT_SECRET), NEXT_SECRET)
        verify(BODY, signature(BODY, NEXT_SECRET), SECRET, NEXT_SECRET)
        verify(BODY, signature(BODY, WRONG_SECRET, SECRET), SECRET)
        with pytest.raises(InvalidSignature):
            verify(BODY, signature(BODY, WRONG_SECRET), SECRET, NEXT_SECRET)

    def test_a_test_schemes_signature_is_none(self) -> None:
        with pytest.raises(InvalidSignature):
            verify(BODY, signature(BODY).replace("v1=", "v0="))

    @pytest.mark.parametrize(
        "header",
        [
            "t=1",
            "v1=",
            ",,,",
            "t=x,v1=y",
            "t=1,t=2",
            "v1=é,t=1",
            f"t={'9' * 1_900},v1=0",
            "=" * 5_000,
            "t=-1,v1=a",
        ],
    )
    def test_what_is_no_signature_is_refused_and_not_a_failure(self, header: str) -> None:
        with pytest.raises(InvalidSignature):
            verify(BODY, header)

    @given(header=st.text(max_size=60), body=st.binary(max_size=60))
    def test_nothing_that_a_stranger_sends_is_taken_or_breaks_it(self, header: str, body: bytes) -> None:
        with pytest.raises(InvalidSignature):
            verify(body, header)

    def test_the_refusal_holds_nothing_of_the_body(self) -> None:
        with pytest.raises(InvalidSignature) as refused:
            verify(BODY, signature(BODY, WRONG_SECRET))
        assert refused.value.__cause__ is None
        assert refused.value.__context__ is None
        assert "payer" not in repr(refused.value.args)


class TestSecrets:
    @pytest.mark.parametrize("text", ["", " ", "\n,\n"])
    def test_an_empty_one_is_refused(self, text: str) -> None:
        with pytest.raises(SigningSecretError, match="is empty"):
            parse(Secret(text))

    @pytest.mark.parametrize("text", ["whsec_x", "sk_live_0123456789abcdef0123", f"{SECRET} x", f"{{{SECRET}}}"])
    def test_and_what_is_no_signing_secret_without_being_repeated(self, text: str) -> None:
        with pytest.raises(SigningSecretError) as refused:
            parse(Secret(text))
        assert text not in str(refused.value)

    @pytest.mark.parametrize("between", [" ", "\n", ",", ", ", "\r\n"])
    def test_two_stand_side_by_side_through_a_rotation(self, between: str) -> None:
        assert parse(Secret(f"{SECRET}{between}{NEXT_SECRET}\n")) == (Secret(SECRET), Secret(NEXT_SECRET))


class TestPayments:
    @pytest.mark.parametrize("kind", ["checkout.session.completed", "checkout.session.async_payment_succeeded"])
    def test_a_paid_session_is_a_payment_for_its_account(self, kind: str) -> None:
        assert read(event(session(cents=1_234), kind)) == Payment(
            provider="stripe",
            event_id="evt_1",
            payment_id="cs_live_1",
            payment_intent="pi_1",
            account_id="acme",
            amount_nanousd=12_340_000_000,
            began_at_ms=CREATED_S * 1000,
        )

    def test_the_example_is_one_and_its_signature_was_real(self) -> None:
        example = json.loads((ROOT / "events" / "payments" / "checkout-completed.json").read_text())
        notice = Stripe(live=True).read(example["body"].encode())
        assert isinstance(notice, Payment)
        assert notice.amount_nanousd == 50 * 10**9
        with pytest.raises(InvalidSignature):  # of another day, and by nobody's secret
            verify(example["body"], example["headers"]["Stripe-Signature"])

    def test_what_the_operator_wrote_into_the_link_stands_before_what_it_was_opened_with(self) -> None:
        notice = read(event(session("other", metadata={"ownkey_account": "acme"})))
        assert isinstance(notice, Payment)
        assert notice.account_id == "acme"

    def test_taxes_and_shipping_are_no_credits_and_a_discount_was_not_paid(self) -> None:
        details = {"amount_discount": 1_000, "amount_shipping": 300, "amount_tax": 700}
        notice = read(event(session(cents=5_000, amount_subtotal=5_000, total_details=details)))
        assert isinstance(notice, Payment)
        assert notice.amount_nanousd == 40 * 10**9

    @pytest.mark.parametrize(
        ("kind", "thing"),
        [
            ("checkout.session.completed", session(payment_status="unpaid")),
            ("checkout.session.completed", session(payment_status="no_payment_required", cents=0)),
            ("checkout.session.async_payment_failed", session(payment_status="unpaid")),
            ("checkout.session.expired", session(payment_status="unpaid")),
            ("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"}),
            ("customer.created", {}),
        ],
    )
    def test_what_is_not_paid_or_another_matter_is_nothing(self, kind: str, thing: Any) -> None:
        assert isinstance(read(event(thing, kind)), Nothing)

    def test_test_money_counts_only_where_it_is_said_to_and_real_money_then_not(self) -> None:
        told = event(session(), livemode=False)
        assert trouble(told).trouble is Trouble.MODE
        assert isinstance(read(told, live=False), Payment)
        assert trouble(event(session()), live=False).trouble is Trouble.MODE

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"currency": "eur"}, Trouble.CURRENCY),
            ({"currency": None}, Trouble.CURRENCY),
            ({"amount_total": 0}, Trouble.AMOUNT),
            ({"amount_total": -5}, Trouble.AMOUNT),
            ({"amount_total": 12.5}, Trouble.AMOUNT),
            ({"amount_total": "5000"}, Trouble.AMOUNT),
            ({"amount_total": True}, Trouble.AMOUNT),
            ({"amount_total": 10**10}, Trouble.AMOUNT),
            ({"total_details": {"amount_tax": 5_000}}, Trouble.AMOUNT),
            ({"total_details": {"amount_tax": -5_000}}, Trouble.AMOUNT),
            ({"client_reference_id": None}, Trouble.NO_ACCOUNT),
            ({"client_reference_id": "platform"}, Trouble.NO_ACCOUNT),
            ({"client_reference_id": "a#b"}, Trouble.NO_ACCOUNT),
            ({"client_reference_id": 7}, Trouble.NO_ACCOUNT),
            ({"mode": "subscription"}, Trouble.NOT_A_TOP_UP),
            ({"payment_status": "partly"}, Trouble.UNREADABLE),
            ({"id": None}, Trouble.UNREADABLE),
            ({"created": "today"}, Trouble.UNREADABLE),
            ({"created": 10**15}, Trouble.UNREADABLE),
        ],
    )
    def test_one_that_gives_no_credits_is_told_to_the_operator(self, changes: Any, why: Trouble) -> None:
        assert trouble(event(session(**changes))).trouble is why

    def test_one_to_somebody_elses_stripe_account_is_no_top_up(self) -> None:
        assert trouble(event(session(), account="acct_1")).trouble is Trouble.NOT_A_TOP_UP

    @pytest.mark.parametrize(
        ("currency", "amount", "shown"),
        [
            ("eur", 1_050, "10.50 EUR"),
            ("jpy", 1_050, "1050 JPY"),
            ("kwd", 1_050, "1.050 KWD"),
            ("isk", 5, "0.05 ISK"),
        ],
    )
    def test_another_currency_is_shown_in_its_own_units(self, currency: str, amount: int, shown: str) -> None:
        assert trouble(event(session(cents=amount, currency=currency))).facts["amount_total"] == shown

    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            ("charge.refunded", Trouble.REFUNDED),
            ("charge.dispute.created", Trouble.DISPUTED),
            ("charge.dispute.funds_withdrawn", Trouble.DISPUTED),
            ("charge.dispute.closed", Trouble.DISPUTED),
        ],
    )
    def test_money_that_goes_back_is_never_lost_silently(self, kind: str, why: Trouble) -> None:
        concern = trouble(event(charge(), kind))
        assert concern.trouble is why
        assert concern.facts["payment_intent"] == "pi_1"
        assert concern.facts["amount_refunded"] == "20.00 USD"

    def test_nothing_about_who_paid_is_kept(self) -> None:
        concern = trouble(event(session(None)))
        assert "payer" not in repr(concern).lower()
        assert "payer" not in repr(read(event(session()))).lower()

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"null", b"{", b"\xff", b'{"id": "evt_1"}', b'{"id": 7, "type": "x"}', b"[" * 100_000]
    )
    def test_what_is_no_event_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidJson):
            Stripe(live=True).read(body)

    @pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": []}, "x"])
    def test_an_event_without_its_thing_is_told_too(self, data: Any) -> None:
        assert trouble(event({}, data=data)).trouble is Trouble.UNREADABLE

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3), st.data())
    def test_whatever_a_session_has_in_whatever_place_it_is_read_as_something(self, thing: Any, at: Any) -> None:
        place = at.draw(st.sampled_from(sorted(session())))
        assert isinstance(read(event(session(**{place: thing}))), Payment | Concern | Nothing)
