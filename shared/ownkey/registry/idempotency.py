"""Requests that may be repeated: one small note for each `Idempotency-Key`, for 24 hours. Never a body.

```
in_flight   somebody is at it, until `lease_until_s` (the function cannot live longer)
done        it made `resource_id`, and was answered with `status`
failed      it failed on our side: whether it made `resource_id` has to be looked up
```
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, Item, Key, Put

TTL_S = 24 * 3600
LEASE_S = 60
"""Longer than the function's timeout: whoever has not ended by then never will."""


class NoteState(StrEnum):
    """How far a request got."""

    IN_FLIGHT = "in_flight"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNote:
    """What is kept of a request."""

    account_id: str
    digest: str
    """SHA-256 of who asks for what under which key, hexadecimal."""
    token: str
    """Random: tells this attempt from others at the same request."""
    salt: str
    fingerprint: str
    """Of the body, keyed by the salt and by the Idempotency-Key, which is not kept."""
    resource_id: str
    lease_until_s: int
    ttl_s: int
    state: NoteState = NoteState.IN_FLIGHT
    status: int | None = None


class RequestNotes(RegistryTable):
    """Reads and writes of the notes."""

    async def begin_request(self, note: RequestNote, *, now_s: int) -> RequestNote | None:
        """Takes the request; None where that succeeded, else the note that stands there."""
        try:
            await self._db.write(
                Put(
                    self._note_at(note),
                    _to_item(note),
                    # DynamoDB removes what has expired within days, not at once.
                    condition="attribute_not_exists(pk) OR ttl_s <= :now",
                    values={":now": now_s},
                )
            )
        except ConditionFailed as e:
            return self.to_note(e.item) if e.item else None
        return None

    async def take_over_request(self, seen: RequestNote, note: RequestNote) -> bool:
        """Takes the request from an attempt that is over; False where somebody else was quicker."""
        return await self._replace(seen.token, note)

    async def end_request(self, note: RequestNote, state: NoteState, *, status: int | None = None) -> None:
        """Notes how the attempt ended, unless the request is somebody else's by now."""
        await self._replace(note.token, replace(note, state=state, status=status))

    async def free_request(self, note: RequestNote) -> None:
        """Forgets the request: it did nothing, and its key may be used anew."""
        try:
            await self._db.write(
                Delete(self._note_at(note), condition="#token = :token", names=_TOKEN, values={":token": note.token})
            )
        except ConditionFailed:
            return  # It is somebody else's by now.

    @staticmethod
    def to_note(item: Item) -> RequestNote:
        """A note from its item."""
        values = {f.name: item[f.name] for f in fields(RequestNote) if f.name in item}
        key = {"account_id": str(item["pk"]).partition("#")[2], "digest": item["sk"]}
        return RequestNote(**values | key | {"state": NoteState(item["state"])})

    async def _replace(self, token: str, note: RequestNote) -> bool:
        try:
            await self._db.write(
                Put(
                    self._note_at(note),
                    _to_item(note),
                    condition="#token = :token",
                    names=_TOKEN,
                    values={":token": token},
                )
            )
        except ConditionFailed:
            return False
        return True

    def _note_at(self, note: RequestNote) -> Key:
        return self._key(keys.idempotency(note.account_id), note.digest)


_TOKEN = {"#token": "token"}
_IN_THE_KEY = ("account_id", "digest")


def _to_item(note: RequestNote) -> Item:
    item = {name: value for name, value in asdict(note).items() if name not in _IN_THE_KEY}
    return item | {"state": note.state.value}
