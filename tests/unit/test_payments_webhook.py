"""The webhook: a payment is a deposit once, whatever is sent again; what is not signed does nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

import pytest

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.errors import Conflict, StoreUnavailable
from ownkey.domain.ledger import Balance, DepositKind
from ownkey.domain.secrets import Secret
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import Statements
from ownkey.payments.desk import DETAIL_TYPE, Desk
from ownkey.payments.signing import SigningSecretError, SigningSecrets
from ownkey.payments.stripe import Stripe
from ownkey.payments.webhook import MAX_BODY_BYTES, Webhook
from ownkey.registry import Registry
from ownkey.registry.audit import AuditFilter, AuditTrail
from tests.support.interleaved import Interleaved
from tests.support.payments import (
    NEXT_SECRET,
    SECRET,
    WRONG_SECRET,
    Json,
    charge,
    event,
    proxied,
    session,
    signature,
    text_of,
)

NOW = "2026-11-21T08:00:00.000000Z"


class Told:
    """The bus."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.broken = False

    async def put(self, detail_type: str, detail: Any) -> None:
        if self.broken:
            raise StoreUnavailable("EventBridge did not take the event.")
        self.events.append((detail_type, detail))


class Kept:
    """Secrets Manager."""

    def __init__(self) -> None:
        self.text, self.reads = SECRET, 0

    async def read(self, arn: str) -> Secret:
        self.reads += 1
        return Secret(self.text)


class Payments:
    """The function over tables in this process, whose calls interleave and are carried out twice at times."""

    def __init__(self, seed: int = 0, *, repeated: float = 0.0) -> None:
        self.store = store = Interleaved(seed, repeated)
        self.registry = Registry(store.db, store.table("registry"))
        self.records = Records(store.db, store.table("records"))
        self.trail = AuditTrail(store.db, store.table("audit"))
        self.told, self.kept, self.clock_s = Told(), Kept(), 0.0
        self.secrets = SigningSecrets(self.kept, "arn", clock=lambda: self.clock_s)
        desk = Desk(store.db, self.registry, self.records, self.trail, self.told)
        self.webhook = Webhook(Stripe(live=True), self.secrets, desk)

    async def started(self) -> Payments:
        with suppress(Conflict):  # of the same call, carried out twice
            await self.registry.create_account("acme", "Acme", now=NOW)
        await self.secrets.load()
        return self

    async def send(self, told: Json | str, header: str | None = None, **options: Any) -> tuple[int, Json]:
        body = told if isinstance(told, str) else text_of(told)
        return await self.ask(proxied(body, header or signature(body), **options))

    async def ask(self, request: Json) -> tuple[int, Json]:
        answer = await self.webhook.answer(request)
        assert answer["headers"]["cache-control"] == "no-store"
        return answer["statusCode"], json.loads(answer["body"])

    async def outcome(self, told: Json, **options: Any) -> str:
        status, body = await self.send(told, **options)
        assert status == 200, body
        return str(body["outcome"])

    async def deposits(self, account_id: str = "acme") -> tuple[Deposit, ...]:
        return (await self.records.deposits(account_id)).deposits

    async def log(self, account_id: str) -> list[Any]:
        return list((await self.trail.page(account_id, AuditFilter())).entries)

    async def balance(self) -> Balance:
        table = self.store.table
        names = Names(*map(table, ("records", "credits", "ledger", "rollups", "counters")))
        for each in await self.deposits():
            await Settlement(self.store.db, names).deposit(each, now=NOW)
        return await Statements(self.store.db, table("credits"), table("ledger")).balance("acme")


@pytest.fixture
async def payments() -> Any:
    made = await Payments().started()
    yield made
    made.store.drop()


class TestCredits:
    async def test_a_payment_is_a_deposit_that_names_it_and_billing_carries_it_out(self, payments: Payments) -> None:
        assert await payments.outcome(event(session(cents=1_234))) == "deposited"
        (deposit,) = await payments.deposits()
        assert (deposit.kind, deposit.amount_nanousd) == (DepositKind.PAYMENT, 12_340_000_000)
        assert (deposit.provider, deposit.payment_id, deposit.payment_intent, deposit.event_id) == (
            "stripe",
            "cs_live_1",
            "pi_1",
            "evt_1",
        )
        assert await payments.balance() == Balance(12_340_000_000, 0)
        (entry,) = await payments.log("acme")
        assert (entry.action, entry.actor_id) == ("deposit.requested", "payments")
        assert entry.facts["deposit_id"] == deposit.id

    async def test_sent_again_it_is_known(self, payments: Payments) -> None:
        told = event(session())
        assert [await payments.outcome(told) for _ in range(3)] == ["deposited", "known", "known"]
        assert len(await payments.deposits()) == len(await payments.log("acme")) == 1

    async def test_two_events_of_one_session_in_either_order_are_one_payment(self, payments: Payments) -> None:
        waiting = event(session(payment_status="unpaid"))
        paid = event(session(), "checkout.session.async_payment_succeeded", id="evt_2")
        completed = event(session(), id="evt_3")
        assert [await payments.outcome(each) for each in (waiting, paid, waiting, completed)] == [
            "ignored",
            "deposited",
            "ignored",
            "known",
        ]
        assert len(await payments.deposits()) == 1

    async def test_two_sessions_of_the_same_amount_are_two(self, payments: Payments) -> None:
        for number in (1, 2):
            told = event(session(id=f"cs_live_{number}"), id=f"evt_{number}")
            assert await payments.outcome(told) == "deposited"
        assert await payments.balance() == Balance(100 * 10**9, 0)

    @pytest.mark.parametrize("seed", range(12))
    async def test_at_once_from_everywhere_it_is_one(self, seed: int) -> None:
        payments = await Payments(seed, repeated=0.3).started()
        told = [event(session(), id=f"evt_{number}") for number in range(3)] * 2
        answers = await asyncio.gather(*map(payments.send, told))
        assert {status for status, _ in answers} == {200}
        assert len(await payments.deposits()) == len(await payments.log("acme")) == 1
        assert await payments.balance() == Balance(50 * 10**9, 0)
        payments.store.drop()


class TestTheOperatorsPart:
    async def test_a_payment_for_an_account_that_is_not_there_is_noted_once(self, payments: Payments) -> None:
        told = event(session("nobody"))
        assert [await payments.outcome(told) for _ in range(3)] == ["noted", "known", "known"]
        (entry,) = await payments.log(PLATFORM_ACCOUNT)
        assert (entry.action, entry.facts["reason"], entry.facts["named_account"]) == (
            "payment.noted",
            "no_account",
            "nobody",
        )
        # The bus may hear of it again, under the same id: once too often rather than never.
        assert {(kind, detail["id"], detail["payment_id"]) for kind, detail in payments.told.events} == {
            (DETAIL_TYPE, entry.id, "cs_live_1")
        }
        assert await payments.deposits("nobody") == ()

    async def test_once_the_account_is_there_the_payment_sent_again_is_credited(self, payments: Payments) -> None:
        told = event(session("later"))
        assert await payments.outcome(told) == "noted"
        await payments.registry.create_account("later", "Later", now=NOW)
        assert await payments.outcome(told) == "deposited"
        assert len(await payments.deposits("later")) == 1

    async def test_refunds_and_disputes_take_nothing_and_are_noted_each(self, payments: Payments) -> None:
        await payments.outcome(event(session()))
        for number, kind in enumerate(["charge.refunded", "charge.refunded", "charge.dispute.created"]):
            assert await payments.outcome(event(charge(), kind, id=f"evt_r{number}")) == "noted"
        assert await payments.balance() == Balance(50 * 10**9, 0)
        reasons = [each.facts["reason"] for each in await payments.log(PLATFORM_ACCOUNT)]
        assert sorted(reasons) == ["disputed", "refunded", "refunded"]

    async def test_an_event_that_the_bus_loses_stands_in_the_log(self, payments: Payments) -> None:
        payments.told.broken = True
        assert await payments.outcome(event(session(currency="eur"))) == "noted"
        assert len(await payments.log(PLATFORM_ACCOUNT)) == 1

    async def test_what_cannot_be_written_down_is_not_acknowledged(self, payments: Payments) -> None:
        async def fails(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("AWS dynamodb did not answer.")

        payments.store.aws.call_json = fails  # type: ignore[method-assign]
        for told in (event(session()), event(charge(), "charge.refunded")):
            assert (await payments.send(told))[0] == 503


class TestTheDoor:
    async def test_what_is_not_signed_does_nothing(self, payments: Payments) -> None:
        body = text_of(event(session()))
        refused = [
            await payments.send(body, signature(body, WRONG_SECRET)),
            await payments.send(body, signature(body, age_s=400)),
            await payments.send(body.replace("acme", "evil"), signature(body)),
            await payments.ask(proxied(body, None)),
            await payments.ask(proxied(body, signature(body)) | {"multiValueHeaders": None, "headers": None}),
            await payments.ask(proxied(body, signature(body)) | {"body": None}),
            await payments.ask(proxied("", signature(""))),
        ]
        assert {(status, answer.get("error", {}).get("code")) for status, answer in refused[:-1]} == {
            (400, "invalid_signature")
        }
        assert refused[-1][0] == 400
        assert await payments.deposits() == ()
        assert payments.told.events == []

    async def test_two_signature_headers_are_none(self, payments: Payments) -> None:
        request = proxied(body := text_of(event(session())), signature(body))
        request["multiValueHeaders"]["stripe-signature"] = ["t=1,v1=0"]
        assert (await payments.ask(request))[0] == 400

    async def test_the_bytes_are_what_is_signed_however_api_gateway_hands_them_on(self, payments: Payments) -> None:
        body = text_of(event(session(metadata={"note": "naïve ☃ \u2028"})))
        for binary in (True, False):
            status, _ = await payments.send(body, signature(body), binary=binary)
            assert status == 200
        request = proxied(body, signature(body), binary=True)
        for text in ("%%%", request["body"][:-3], "\ud800"):
            assert (await payments.ask(request | {"body": text}))[0] == 400
        assert (await payments.ask(proxied(body, signature(body)) | {"body": "\ud800"}))[0] == 400
        raw = b"\xff\xfe{}"
        assert (await payments.ask(proxied(raw, signature("{}"), binary=True)))[0] == 400

    async def test_a_huge_body_is_refused_before_it_is_looked_at(self, payments: Payments) -> None:
        body = text_of(event(session(metadata={"note": "x" * MAX_BODY_BYTES})))
        for binary in (True, False):
            status, answer = await payments.send(body, signature(body), binary=binary)
            assert (status, answer["error"]["code"]) == (413, "request_too_large")

    async def test_a_signed_body_that_is_no_event_is_refused(self, payments: Payments) -> None:
        for body in ("", "[]", "{", '{"object": "event"}'):
            status, answer = await payments.send(body, signature(body)) if body else (400, {})
            assert status == 400
            assert not body or answer["error"]["code"] == "invalid_json"

    async def test_no_answer_and_no_log_line_has_the_body_or_a_secret(
        self, payments: Payments, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        body = text_of(event(session()))
        answers = [
            await payments.send(body),
            await payments.send(body, signature(body, WRONG_SECRET)),
            await payments.send(event(session("nobody"), id="evt_9")),
        ]
        said = caplog.text + repr([vars(record) for record in caplog.records]) + repr(answers)
        for secret in (SECRET, "payer@example.com", "Pat Payer", "v1="):
            assert secret not in said


class TestRotation:
    async def test_a_new_secret_is_read_when_a_signature_asks_for_it(self, payments: Payments) -> None:
        body = text_of(event(session()))
        payments.kept.text = f"{SECRET}\n{NEXT_SECRET}"
        assert (await payments.send(body, signature(body, NEXT_SECRET)))[0] == 400  # within the minute
        payments.clock_s += 61
        assert (await payments.send(body, signature(body, NEXT_SECRET)))[0] == 200
        assert (await payments.send(body, signature(body, SECRET)))[0] == 200

    async def test_forged_requests_do_not_make_it_read_more_than_once_a_minute(self, payments: Payments) -> None:
        body = text_of(event(session()))
        for _ in range(5):
            payments.clock_s += 20
            assert (await payments.send(body, signature(body, WRONG_SECRET)))[0] == 400
        assert payments.kept.reads == 2

    async def test_one_that_was_emptied_lets_nothing_in_and_the_old_ones_stay(self, payments: Payments) -> None:
        body = text_of(event(session()))
        payments.kept.text = ""
        payments.clock_s += 61
        assert (await payments.send(body, signature(body, WRONG_SECRET)))[0] == 500
        assert (await payments.send(body))[0] == 200

    async def test_an_empty_one_keeps_the_function_from_starting(self) -> None:
        made = Payments()
        made.kept.text = " \n"
        with pytest.raises(SigningSecretError, match="empty"):
            await made.started()
        made.store.drop()
