"""`Idempotency-Key` on inference: a request that is repeated is answered once, replayed after, and charged once.

```
            take ──▶ ours: asked ──▶ whole answer ──▶ kept, sealed
             │                  └──▶ anything else ──▶ freed: as if never asked
             └────▶ another's: answered ──▶ replayed
                               under way ──▶ waited for, a while; then 409
```
A request without the header pays nothing: no read, no write. What is kept and how it is sealed: `answer_seal`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidTag

from ownkey.domain.errors import IdempotencyInFlight, IdempotencyMismatch, IdempotencyNotKept, OwnkeyError
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.surfaces import Surface
from ownkey.http.answer_seal import SALT_BYTES, Asked, Head, Packer, SealKeys, seal, unseal
from ownkey.http.exchange import Exchange
from ownkey.http.idempotency_key import REPLAYED, canonical, given_key
from ownkey.http.presented import presented_secret
from ownkey.providers import Document
from ownkey.registry.idempotency import NoteState, RequestNote
from ownkey.registry.kept_answers import MAX_SEALED_BYTES
from ownkey.router import Served
from ownkey.store.aws import AwsError

logger = logging.getLogger(__name__)

WAIT_S = 25.0
"""For the first request to be answered: below the 29 s after which many a proxy gives up."""
RETRY_AFTER_S = 5.0
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.05, 1.0
_SEAL_OVERHEAD_BYTES = 28
_PIECE_BYTES = 256 * 1024


class Answers(Protocol):
    """`ownkey.registry.kept_answers.KeptAnswers`."""

    def now_s(self) -> int:
        """Epoch seconds."""

    def ttl_s(self) -> int:
        """When what is kept from now on is forgotten."""

    def abandoned(self, note: RequestNote) -> bool:
        """Whether its function is over, and left no answer."""

    async def take(self, note: RequestNote) -> RequestNote | None:
        """Takes the request; None where that succeeded, else whose it is."""

    async def look(self, note: RequestNote) -> RequestNote | None:
        """What stands there by now."""

    async def keep(self, note: RequestNote, sealed: bytes | None) -> None:
        """Keeps the answer; None: it was too large."""

    async def free_request(self, note: RequestNote) -> None:
        """Forgets the request."""

    async def sealed_answer(self, note: RequestNote) -> bytes | None:
        """The answer that was kept under the note."""


class Keeping:
    """A request that is ours to answer. `finish` keeps the answer if there is a whole one."""

    def __init__(self, answers: Answers, note: RequestNote, keys: SealKeys, request_id: str) -> None:
        self._answers = answers
        self._note = note
        self._keys = keys
        self._request_id = request_id
        self._packer: Packer | None = None
        self._whole = False

    def begin(self, headers: Mapping[str, str], served: Served, attempts: int) -> None:
        """The answer begins with these headers."""
        # A provider's limits are of their moment.
        lasting = {name: value for name, value in headers.items() if "ratelimit" not in name}
        head = Head(self._request_id, lasting, served, attempts)
        self._packer = Packer(head, MAX_SEALED_BYTES - _SEAL_OVERHEAD_BYTES)

    def take(self, data: bytes) -> None:
        """A piece of its body."""
        assert self._packer is not None
        self._packer.take(data)

    def complete(self) -> None:
        """That was all of it."""
        self._whole = True

    async def finish(self) -> None:
        """After the client has what there is. Never fails: what cannot be written ends with the function's time."""
        try:
            if self._packer is None or not self._whole:
                await self._answers.free_request(self._note)
                return
            packed = self._packer.packed()
            await self._answers.keep(self._note, seal(self._keys, packed) if packed is not None else None)
        except (OwnkeyError, AwsError) as error:
            logger.error("an answer could not be kept", exc_info=error, extra={"request_id": self._request_id})


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of the first request."""

    head: Head
    body: bytes


class Repeats:
    """Tells requests from their repeats.

    Args:
        wait_s: How long a repeat waits for the first request.
    """

    def __init__(self, answers: Answers, *, wait_s: float = WAIT_S) -> None:
        self._answers = answers
        self._wait_s = wait_s

    async def once(
        self, exchange: Exchange, surface: Surface, key: GatewayKey, document: Document
    ) -> Keeping | Kept | None:
        """What to do with the request: answer it and keep the answer, replay one, or (None) neither.

        Raises:
            InvalidParameter: its key is none.
            IdempotencyMismatch: the key was used for another request.
            IdempotencyInFlight: the first request is still at it.
            IdempotencyNotKept: it was answered, and its answer was too large to be kept.
        """
        named = given_key(exchange.headers)
        if named is None:
            return None
        asked = Asked(
            account_id=key.account_id,
            gateway_key_id=key.id,
            surface=surface.value,
            gateway_key=presented_secret(exchange.headers),
            idempotency_key=named,
            request=sha256(canonical(document.values) + exchange.query).digest(),
        )
        note, seal_keys = self._note(asked, exchange)
        until = min(asyncio.get_running_loop().time() + self._wait_s, exchange.deadline()[0])
        delay_s = _FIRST_LOOK_S
        seen = await self._answers.take(note)
        while seen is not None:
            _check_same(asked, seen)
            if seen.state is NoteState.DONE:
                return await self._kept(asked, seen)
            if asyncio.get_running_loop().time() >= until:
                raise self._in_flight(seen)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_LOOK_S)
            seen = await self._answers.look(note)
            if seen is None or self._answers.abandoned(seen):
                seen = await self._answers.take(note)
        return Keeping(self._answers, note, seal_keys, exchange.request_id)

    def _note(self, asked: Asked, exchange: Exchange) -> tuple[RequestNote, SealKeys]:
        salt = secrets.token_bytes(SALT_BYTES)
        seal_keys = asked.keys(salt)
        named = (asked.gateway_key_id, asked.surface, asked.idempotency_key)
        note = RequestNote(
            account_id=asked.account_id,
            digest=sha256("\x1f".join(named).encode()).hexdigest(),
            token=secrets.token_hex(16),
            salt=salt.hex(),
            fingerprint=seal_keys.fingerprint,
            resource_id=exchange.request_id,
            lease_until_s=exchange.deadline()[1],
            ttl_s=self._answers.ttl_s(),
        )
        return note, seal_keys

    async def _kept(self, asked: Asked, seen: RequestNote) -> Kept:
        sealed = await self._answers.sealed_answer(seen)
        if sealed is None:
            raise IdempotencyNotKept(
                f"The request with this Idempotency-Key was answered and charged as {seen.resource_id}; "
                "its answer was too large to be kept."
            )
        try:
            return Kept(*unseal(asked.keys(bytes.fromhex(seen.salt)), sealed))
        except InvalidTag:
            logger.error("a kept answer was altered", extra={"request_id": seen.resource_id})
            raise IdempotencyNotKept(
                f"The request with this Idempotency-Key was answered and charged as {seen.resource_id}; "
                "its answer cannot be opened."
            ) from None

    def _in_flight(self, seen: RequestNote) -> IdempotencyInFlight:
        left_s = max(1, seen.lease_until_s + 1 - self._answers.now_s())
        return IdempotencyInFlight(
            "The first request with this Idempotency-Key has not been answered yet.",
            retry_after_s=min(RETRY_AFTER_S, left_s),
        )


async def replay(exchange: Exchange, kept: Kept) -> None:
    """The first request's answer, as that had it: its headers, its body, its id. Nothing is asked, held or charged."""
    logger.info("an answer is replayed", extra={"request_id": kept.head.request_id, "asked_as": exchange.request_id})
    exchange.request_id = kept.head.request_id
    await exchange.start(200, {**kept.head.headers, REPLAYED.lower(): "true"}, kept.head.served, kept.head.attempts)
    for at in range(0, len(kept.body), _PIECE_BYTES):
        await exchange.write(kept.body[at : at + _PIECE_BYTES], more=True)
    await exchange.write(b"", more=False)


def _check_same(asked: Asked, seen: RequestNote) -> None:
    fingerprint = asked.keys(bytes.fromhex(seen.salt)).fingerprint
    if not hmac.compare_digest(fingerprint, seen.fingerprint):
        raise IdempotencyMismatch(
            "This Idempotency-Key was used for another request, or with this gateway key's other secret."
        )
