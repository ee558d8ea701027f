"""Stripe as tests need it: events, and their signatures made by Stripe's own library."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from stripe import WebhookSignature

Json = dict[str, Any]

SECRET = "whsec_" + "a1B2c3D4e5F6g7H8" * 2
NEXT_SECRET = "whsec_" + "z9Y8x7W6v5U4t3S2" * 2
WRONG_SECRET = "whsec_" + "0000000000000000" * 2
CREATED_S = 1_795_253_340


def session(account: str | None = "acme", cents: int = 5_000, **changes: Any) -> Json:
    """A Checkout Session that was paid."""
    return {
        "id": "cs_live_1",
        "object": "checkout.session",
        "amount_subtotal": cents,
        "amount_total": cents,
        "client_reference_id": account,
        "created": CREATED_S,
        "currency": "usd",
        "customer_details": {"email": "payer@example.com", "name": "Pat Payer"},
        "metadata": {},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        **changes,
    }


def charge(**changes: Any) -> Json:
    """A charge that was given back."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 5_000,
        "amount_refunded": 2_000,
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_1",
        **changes,
    }


def event(thing: Json, kind: str = "checkout.session.completed", **changes: Any) -> Json:
    """What tells of it."""
    return {
        "id": "evt_1",
        "object": "event",
        "created": CREATED_S + 60,
        "livemode": True,
        "type": kind,
        "data": {"object": thing},
        **changes,
    }


def text_of(told: Json) -> str:
    """As it is sent: characters beyond ASCII as they are."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def signature(body: str, *secrets: str, age_s: int = 0) -> str:
    """The header for a body, by one secret or, as through a rotation, by several."""
    at_s = int(time.time()) - age_s
    signed = [WebhookSignature.generate_signature_header(body, secret, at_s) for secret in secrets or (SECRET,)]
    return ",".join([signed[0], *(each.partition(",")[2] for each in signed[1:])])


def proxied(body: str | bytes, header: str | None, *, binary: bool = False) -> Json:
    """The request as API Gateway hands it on."""
    raw = body if isinstance(body, bytes) else body.encode()
    headers = {"Content-Type": "application/json; charset=utf-8"} | ({"Stripe-Signature": header} if header else {})
    return {
        "resource": "/payments/stripe",
        "path": "/payments/stripe",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": base64.b64encode(raw).decode() if binary else raw.decode(),
        "isBase64Encoded": binary,
    }
