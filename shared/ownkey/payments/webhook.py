"""The webhook behind API Gateway: bytes in, checked before anything is read of them; a word out.

A proxy event's body is text, or base64 of the bytes: what was signed is the bytes.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html

Whatever is answered with 2xx the provider does not send again, so that is said only of what is written down.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

from ownkey.domain import ids
from ownkey.domain.errors import GatewayFailure, InvalidSignature, OwnkeyError, RequestTooLarge
from ownkey.payments.desk import Desk
from ownkey.payments.notices import PaymentProvider
from ownkey.payments.signing import SigningSecrets

MAX_BODY_BYTES = 1024 * 1024
"""Stripe's events are some kilobytes."""
_log = logging.getLogger(__name__)

Json = dict[str, Any]


class Webhook:
    """One provider's."""

    def __init__(self, provider: PaymentProvider, secrets: SigningSecrets, desk: Desk) -> None:
        self._provider = provider
        self._secrets = secrets
        self._desk = desk

    async def answer(self, event: Mapping[str, Any]) -> Json:
        """A proxy event → the proxy's answer. Never raises: what nobody designed is a 500, and the provider retries."""
        request_id = ids.new_id(ids.REQUEST)
        facts: Json = {"request_id": request_id, "provider": self._provider.name}
        try:
            outcome, event_id = await self._take(event)
        except OwnkeyError as e:
            error = e
        except Exception as e:  # noqa: BLE001 - the last stop
            _log.exception("unexpected error", extra=facts)
            error = GatewayFailure("The gateway failed.")
            error.__cause__ = e
        else:
            _log.info("webhook", extra={**facts, "status": 200, "outcome": outcome, "event_id": event_id})
            return _answer(200, {"received": True, "outcome": outcome}, request_id)
        _log.warning("webhook refused", extra={**facts, "status": error.status, "code": error.code})
        return _answer(error.status, _body_of(error, request_id), request_id)

    async def _take(self, event: Mapping[str, Any]) -> tuple[str, str]:
        body, signature = _bytes_of(event), _header(event, self._provider.signature_header)
        try:
            self._provider.verify(body, signature, self._secrets.known)
        except InvalidSignature:
            if not await self._secrets.renewed():
                raise
            self._provider.verify(body, signature, self._secrets.known)
        notice = self._provider.read(body)
        return await self._desk.act(notice), notice.event_id


def _bytes_of(event: Mapping[str, Any]) -> bytes:
    """The body as it was sent.

    Raises:
        RequestTooLarge: it is; InvalidSignature: nobody can have signed it.
    """
    text = event.get("body") or ""
    if len(text) > 2 * MAX_BODY_BYTES:
        raise RequestTooLarge("The body is larger than any event.")
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except ValueError:  # of the base64, or half a character
        raise InvalidSignature("The body cannot be read.") from None
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge("The body is larger than any event.")
    return body


def _header(event: Mapping[str, Any], name: str) -> str:
    """The header's one value.

    Raises:
        InvalidSignature: it has none, or several.
    """
    several = event.get("multiValueHeaders") or {key: [value] for key, value in (event.get("headers") or {}).items()}
    values = [value for key, found in several.items() if key.lower() == name for value in found]
    if len(values) != 1 or not values[0]:
        raise InvalidSignature(f"The request has not one {name} header.")
    return str(values[0])


def _body_of(error: OwnkeyError, request_id: str) -> Json:
    """In the shape of the management API."""
    metadata = {"source": "gateway", "fix": error.fix, "request_id": request_id}
    kind = "invalid_request_error" if error.status < 500 else "api_error"
    described = {"message": f"{error.message} {error.fix}", "type": kind, "param": None, "code": error.code}
    return {"error": described | {"metadata": metadata}}


def _answer(status: int, body: Json, request_id: str) -> Json:
    headers = {"content-type": "application/json", "cache-control": "no-store", "x-ownkey-request-id": request_id}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}
