"""What all parts of the registry share: the database, the table's name."""

from __future__ import annotations

from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key


class RegistryTable:
    """A view of the registry's table."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    def _key(self, pk: str, sk: str) -> Key:
        return Key(self._table, pk, sk)

    def _head_at(self, account_id: str) -> Key:
        return self._key(keys.account(account_id), keys.HEAD)
