"""`Idempotency-Key`: a creation that is repeated happens once, and is answered with what it made.

The body is never kept, and no fingerprint that could be tried against without the client's own key. The id of what is
to be made is noted before it is made: whatever died in between, the next attempt makes the same thing or finds it.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from ownkey.domain.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    NotFound,
    OwnkeyError,
    StoreUnavailable,
)
from ownkey.http.idempotency_key import REPLAYED, canonical, given_key
from ownkey.http.management.auditing import note as audit_note
from ownkey.registry.idempotency import LEASE_S, TTL_S, NoteState, RequestNote, RequestNotes
from ownkey.store.aws import AwsError

_log = logging.getLogger(__name__)

Act = Callable[[str], Awaitable[Response]]
"""The id of a resource → the answer about it."""


class Idempotency:
    """Runs creations once.

    Args:
        now: For leases and the time that keys are remembered.
    """

    def __init__(self, notes: RequestNotes, now: Callable[[], datetime]) -> None:
        self._notes = notes
        self._now = now

    async def once(
        self, request: Request, *, account_id: str, user_id: str, resource_id: str, create: Act, shown: Act
    ) -> Response:
        """The answer of `create`; of a request that is repeated under its key that of `shown`, marked as replayed.

        Args:
            resource_id: What the new resource is to be called. `create` gets it, or the one of an attempt before
                whose outcome nobody saw: made twice under one id, it has to be one thing or a conflict.
            shown: Answers what the resource says now, as if it had just been made. Raises NotFound where there is none.

        Raises:
            InvalidParameter: the key is none.
            IdempotencyInFlight: the first request is still at it.
            IdempotencyMismatch: the key was used with another body.
            Whatever `create` and `shown` raise; a creation that failed does not use the key up.
        """
        key = given_key(request.headers)
        if key is None:
            return await create(resource_id)
        body = await _canonical(request)
        note = self._note(request, account_id, user_id, resource_id, key, body)
        seen = await self._notes.begin_request(note, now_s=self._seconds())
        if seen is None:
            return await self._created(note, create)
        same = hmac.compare_digest(seen.fingerprint, _fingerprint(key, seen.salt, body))
        if not same and seen.state is not NoteState.FAILED:
            raise IdempotencyMismatch("This Idempotency-Key was used for another request.")
        if seen.state is NoteState.DONE:
            return await _replayed(request, seen, shown)
        if seen.state is NoteState.IN_FLIGHT and seen.lease_until_s > self._seconds():
            raise _in_flight()
        # An attempt whose outcome nobody saw: what it may have made has the id that it noted.
        taken = replace(note, resource_id=seen.resource_id) if same else note
        if not await self._notes.take_over_request(seen, taken):
            raise _in_flight()
        if same:
            try:
                response = await _replayed(request, taken, shown)
            except NotFound:
                return await self._created(taken, create)
            await self._end(taken, NoteState.DONE, response.status_code)
            return response
        return await self._created(taken, create)

    async def _created(self, note: RequestNote, create: Act) -> Response:
        try:
            response = await create(note.resource_id)
        except OwnkeyError as e:
            await self._end(note, NoteState.FAILED if e.status >= 500 else None)
            raise
        except Exception:  # nothing is swallowed: whatever came, nobody knows what was made
            await self._end(note, NoteState.FAILED)
            raise
        await self._end(note, NoteState.DONE, response.status_code)
        return response

    async def _end(self, note: RequestNote, state: NoteState | None, status: int | None = None) -> None:
        """Notes the outcome; None: nothing was made. Where that fails the lease ends, and the resource is looked up."""
        try:
            if state is None:
                await self._notes.free_request(note)
            else:
                await self._notes.end_request(note, state, status=status)
        except (StoreUnavailable, AwsError) as e:
            _log.error("the end of an idempotent request was lost", exc_info=e)

    def _note(
        self, request: Request, account_id: str, user_id: str, resource_id: str, key: str, body: bytes
    ) -> RequestNote:
        route = f"{request.method} {getattr(request.scope.get('route'), 'path', '')}"
        salt = secrets.token_hex(16)
        return RequestNote(
            account_id=account_id,
            digest=sha256("\x1f".join((user_id, route, key)).encode()).hexdigest(),
            token=secrets.token_hex(16),
            salt=salt,
            fingerprint=_fingerprint(key, salt, body),
            resource_id=resource_id,
            lease_until_s=self._seconds() + LEASE_S,
            ttl_s=self._seconds() + TTL_S,
        )

    def _seconds(self) -> int:
        return int(self._now().timestamp())


async def _replayed(request: Request, seen: RequestNote, shown: Act) -> Response:
    response = await shown(seen.resource_id)
    response.status_code = seen.status or response.status_code
    response.headers[REPLAYED] = "true"
    audit_note(request, replayed=True)
    return response


def _in_flight() -> IdempotencyInFlight:
    return IdempotencyInFlight("The first request with this Idempotency-Key has not been answered yet.")


async def _canonical(request: Request) -> bytes:
    """The body's JSON; it was read and found good before."""
    return canonical(json.loads(await request.body() or b"null"))


def _fingerprint(key: str, salt: str, body: bytes) -> str:
    return hmac.new(f"{salt}{key}".encode(), body, sha256).hexdigest()
