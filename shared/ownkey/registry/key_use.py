"""When gateway keys were last used: a sample, kept apart from the keys so that requests write nothing of the registry.

One small item for each secret in the table of health. An environment writes it at most once a minute, after an answer;
a write by another one that came later is left alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.sampling import Sampler
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Key, Update

logger = logging.getLogger(__name__)

SAMPLED_EVERY_S = 60.0
_BATCH = 100


class KeyUse:
    """Over the table of health.

    Args:
        monotonic: Seconds, for the distance between two samples.
        now: The time that is written.
    """

    def __init__(
        self,
        db: DynamoDb,
        table: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._table = table
        self._now = now
        self._sampler = Sampler(SAMPLED_EVERY_S, monotonic=monotonic)

    async def note(self, key: GatewayKey) -> None:
        """Notes that the key's secret is in use, unless this environment did so less than a minute ago.

        Never fails: what could not be written is in the log, and the next request is a new chance.
        """
        if not self._sampler.due(key.digest):
            return
        at = self._now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        update = Update(
            self._at(key.account_id, key.digest),
            "SET #at = :at",
            condition="attribute_not_exists(#at) OR #at < :at",
            names={"#at": "at"},
            values={":at": at},
        )
        try:
            await self._db.write(update)
        except ConditionFailed:
            return  # Another environment was later.
        except Exception:  # the answer is out; a sample is not worth more than a line
            self._sampler.give_back(key.digest)
            logger.exception("a gateway key's use could not be noted", extra={"gateway_key_id": key.id})

    async def last_used(self, used: Iterable[GatewayKey]) -> Mapping[str, str]:
        """When each secret of these keys, the previous ones too, was last used: by digest, RFC 3339."""
        digests = {
            self._at(key.account_id, digest): digest
            for key in used
            for digest in (key.digest, key.previous.digest if key.previous else None)
            if digest is not None
        }
        at = list(digests)
        found: dict[Key, Item] = {}
        for first in range(0, len(at), _BATCH):
            found |= await self._db.batch_get(at[first : first + _BATCH])
        return {digests[each]: item["at"] for each, item in found.items()}

    def _at(self, account_id: str, digest: str) -> Key:
        return Key(self._table, keys.health(account_id), keys.used(digest))
