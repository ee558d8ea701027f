"""Answers that may be asked for again, sealed: for 24 hours, in a table of their own.

A note for each `Idempotency-Key`, as creations have one (`idempotency`), and beside it the answer in as many parts as
it takes. The parts stand under the note's token: what a function writes that was too late is never taken for the
answer of the one that came after it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ownkey.registry.idempotency import TTL_S, NoteState, RequestNote, RequestNotes
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key, Put

MAX_SEALED_BYTES = 1_000_000
"""Of one answer, compressed and sealed: three items, for DynamoDB's own bound is 400 KB an item."""
PART_BYTES = 350_000


class KeptAnswers(RequestNotes):
    """Over the table of answers.

    Args:
        now: For leases and the time that answers are kept.
    """

    def __init__(self, db: DynamoDb, table: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(db, table)
        self._now = now

    def now_s(self) -> int:
        """Epoch seconds."""
        return int(self._now().timestamp())

    async def take(self, note: RequestNote) -> RequestNote | None:
        """Takes the request, also from a function that is over; None where that succeeded, else whose it is.

        One write; a second one where a dead function's lease is over.
        """
        seen = await self.begin_request(note, now_s=self.now_s())
        if seen is None or seen.token == note.token:
            return None  # the latter: the answer to the first write was lost, and it was sent again
        if self.abandoned(seen) and await self.take_over_request(seen, note):
            return None
        return seen

    async def look(self, note: RequestNote) -> RequestNote | None:
        """What stands there by now; one read."""
        item = await self._db.get(self._note_at(note))
        return self.to_note(item) if item else None

    def abandoned(self, note: RequestNote) -> bool:
        """Whether its function is over, and left no answer."""
        return note.state is NoteState.IN_FLIGHT and note.lease_until_s < self.now_s()

    async def keep(self, note: RequestNote, sealed: bytes | None) -> None:
        """Keeps the answer. None: it was too large, and only that it was given is kept."""
        parts = [] if sealed is None else [sealed[at : at + PART_BYTES] for at in range(0, len(sealed), PART_BYTES)]
        for number, part in enumerate(parts):
            await self._db.write(Put(self._part_at(note, number), {"sealed": part, "ttl_s": note.ttl_s}))
        await self.end_request(note, NoteState.DONE, status=200)

    async def sealed_answer(self, note: RequestNote) -> bytes | None:
        """The answer that was kept under the note; None: only that it was given."""
        rows = await self._db.query_all(self._table, self._parts_of(note), prefix=f"{note.token}#")
        return b"".join(row["sealed"] for row in rows) or None

    def ttl_s(self) -> int:
        """When what is kept from now on is forgotten, in epoch seconds."""
        return self.now_s() + TTL_S

    def _parts_of(self, note: RequestNote) -> str:
        return keys.answer(note.account_id, note.digest)

    def _part_at(self, note: RequestNote, number: int) -> Key:
        return self._key(self._parts_of(note), keys.answer_part(note.token, number))
