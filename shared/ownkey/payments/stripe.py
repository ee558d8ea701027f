"""Stripe's events: the signature checked by Stripe's own library, and what they tell.

Shapes: https://docs.stripe.com/api/events/object, https://docs.stripe.com/api/checkout/sessions/object. When a session
counts as paid: https://docs.stripe.com/checkout/fulfillment. Currencies: https://docs.stripe.com/currencies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from stripe import SignatureVerificationError, WebhookSignature

from ownkey.domain.accounts import ACCOUNT_ID_PATTERN, PLATFORM_ACCOUNT
from ownkey.domain.audit import Fact
from ownkey.domain.errors import InvalidJson, InvalidSignature
from ownkey.domain.money import NANOUSD_PER_USD
from ownkey.domain.secrets import Secret
from ownkey.payments.notices import Concern, Nothing, Notice, Payment, Trouble

TOLERANCE_S = 300
"""How old a signature may be: Stripe's own default. A retry is signed anew."""
ACCOUNT_METADATA = "ownkey_account"

_PAID = frozenset({"checkout.session.completed", "checkout.session.async_payment_succeeded"})
_REFUNDED = frozenset({"charge.refunded"})
_DISPUTE = "charge.dispute."
_MAX_SIGNATURE_CHARS = 2_000
_MAX_NANOUSD = 10**7 * NANOUSD_PER_USD
_NANOUSD_PER_CENT = NANOUSD_PER_USD // 100
_NO_DECIMALS = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
"""Currencies whose amounts are whole; of all others they are hundredths, of these thousandths:"""
_THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
_ACCOUNT = re.compile(ACCOUNT_ID_PATTERN)
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")

Json = Mapping[str, Any]


class Stripe:
    """`PaymentProvider` for Checkout Sessions, those of payment links included.

    Args:
        live: Whether real payments count, and test payments do not; or the other way round.
    """

    name = "stripe"
    signature_header = "stripe-signature"

    def __init__(self, *, live: bool) -> None:
        self._live = live

    def verify(self, body: bytes, signature: str, secrets: Sequence[Secret]) -> None:
        """Several `v1` signatures and several secrets may stand for each other, as through a rotation.

        Raises:
            InvalidSignature: none of the secrets signed these bytes within the last `TOLERANCE_S`.
        """
        # Stripe's comparison takes ASCII only, and its header is a few hundred characters.
        if not signature.isascii() or len(signature) > _MAX_SIGNATURE_CHARS:
            raise InvalidSignature("The Stripe-Signature header is none.")
        if not any(_signed_by(secret, body, signature) for secret in secrets):
            raise InvalidSignature("No signing secret of this deployment signed this body lately.")

    def read(self, body: bytes) -> Notice:
        """What a verified event tells.

        Raises:
            InvalidJson: it is no event.
        """
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not _is_id(event.get("id")) or not isinstance(event.get("type"), str):
            raise InvalidJson("The body is no event of Stripe's.")
        kind, data = event["type"], event.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        if not (kind in _PAID or kind in _REFUNDED or kind.startswith(_DISPUTE)):
            return Nothing(provider=self.name, event_id=event["id"], why=kind[:100])
        if not isinstance(thing, dict):
            return self._concern(event, {}, Trouble.UNREADABLE)
        if kind in _REFUNDED:
            return self._concern(event, thing, Trouble.REFUNDED)
        if kind.startswith(_DISPUTE):
            return self._concern(event, thing, Trouble.DISPUTED)
        return self._session(event, thing)

    def _session(self, event: Json, session: Json) -> Notice:
        status = session.get("payment_status")
        if status in ("unpaid", "no_payment_required"):
            return Nothing(provider=self.name, event_id=event["id"], why=status)
        trouble = self._trouble(event, session)
        if trouble is not None:
            return self._concern(event, session, trouble)
        return Payment(
            provider=self.name,
            event_id=event["id"],
            payment_id=session["id"],
            payment_intent=_id_or_none(session.get("payment_intent")),
            account_id=_account(session) or "",
            amount_nanousd=_cents(session) * _NANOUSD_PER_CENT,
            began_at_ms=session["created"] * 1000,
        )

    def _trouble(self, event: Json, session: Json) -> Trouble | None:
        """Why a session that is said to be paid gives no credits; the first reason counts."""
        if session.get("payment_status") != "paid" or not _is_id(session.get("id")) or not _is_time(session):
            return Trouble.UNREADABLE
        if event.get("livemode") is not self._live:
            return Trouble.MODE
        if session.get("mode") != "payment" or event.get("account") is not None:
            return Trouble.NOT_A_TOP_UP
        if session.get("currency") != "usd":
            return Trouble.CURRENCY
        if not 0 < _cents(session) * _NANOUSD_PER_CENT <= _MAX_NANOUSD:
            return Trouble.AMOUNT
        return None if _account(session) else Trouble.NO_ACCOUNT

    def _concern(self, event: Json, thing: Json, trouble: Trouble) -> Concern:
        """With what a person needs to find it at Stripe: ids, amount, account. Nothing about who paid."""
        currency = thing.get("currency")
        facts: dict[str, Fact] = {
            "event_type": event["type"][:100],
            "live": event.get("livemode") is True,
            "payment_id": _id_or_none(thing.get("id")),
            "payment_intent": _id_or_none(thing.get("payment_intent")),
            "named_account": _account(thing),
        }
        for name in ("amount_total", "amount", "amount_refunded"):
            if _is_amount(thing.get(name)) and isinstance(currency, str) and currency.isalpha():
                facts[name] = f"{_major(thing[name], currency)} {currency[:3].upper()}"
        told_at_ms = event["created"] * 1000 if _is_time(event) else 0
        return Concern(provider=self.name, event_id=event["id"], told_at_ms=told_at_ms, trouble=trouble, facts=facts)


def _signed_by(secret: Secret, body: bytes, signature: str) -> bool:
    try:
        WebhookSignature.verify_header(body, signature, secret.reveal(), TOLERANCE_S)
    except (SignatureVerificationError, UnicodeDecodeError):
        # Never logged: the library's exception has the whole body in it.
        return False
    return True


def _account(session: Json) -> str | None:
    """Whom it is for: what the operator wrote into the link or session, else what the link was opened with."""
    metadata = session.get("metadata")
    named = (metadata.get(ACCOUNT_METADATA) if isinstance(metadata, dict) else None) or session.get(
        "client_reference_id"
    )
    return named if isinstance(named, str) and _ACCOUNT.match(named) and named != PLATFORM_ACCOUNT else None


def _cents(session: Json) -> int:
    """What was paid for credits: all of it, less taxes and shipping. 0 where it cannot be read."""
    details = session.get("total_details")
    parts = details if isinstance(details, dict) else {}
    total, *aside = session.get("amount_total"), parts.get("amount_tax") or 0, parts.get("amount_shipping") or 0
    if not all(map(_is_amount, (total, *aside))):
        return 0
    return int(total or 0) - sum(map(int, aside))


def _major(amount: int, currency: str) -> Decimal:
    """An amount in the currency's smallest unit, in the currency itself."""
    name = currency.lower()
    places = 0 if name in _NO_DECIMALS else 3 if name in _THREE_DECIMALS else 2
    return Decimal(amount).scaleb(-places)


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _is_time(thing: Json) -> bool:
    created = thing.get("created")
    return _is_amount(created) and int(created or 0) < 10**11


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _id_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and _is_id(value) else None
