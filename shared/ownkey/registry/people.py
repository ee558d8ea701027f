"""Accounts and their members."""

from __future__ import annotations

from dataclasses import replace

from ownkey.domain.accounts import AccountHead, Member, Role
from ownkey.domain.errors import Conflict, NotFound
from ownkey.registry import items
from ownkey.registry.idempotency import RequestNotes
from ownkey.store import keys
from ownkey.store.dynamodb import Check, ConditionFailed, Delete, Put, Update


class People(RequestNotes):
    """Reads and writes of accounts and members for management."""

    async def create_account(self, account_id: str, name: str, *, now: str) -> AccountHead:
        """A new account without members, keys or credits.

        Raises:
            Conflict: the id is taken.
        """
        head = AccountHead(account_id, name, version=1, created_at=now)
        at = self._key(keys.account(account_id), keys.HEAD)
        try:
            await self._db.transact(
                [
                    Put(at, items.from_account(head), condition="attribute_not_exists(pk)"),
                    Put(self._key(keys.ACCOUNTS_PARTITION, account_id), {"created_at": now}),
                ]
            )
        except ConditionFailed as e:
            raise Conflict(f"There is an account {account_id} already.") from e
        return head

    async def account_ids(self) -> list[str]:
        """The ids of all accounts."""
        return [row["sk"] for row in await self._db.query_all(self._table, keys.ACCOUNTS_PARTITION)]

    async def accounts(self) -> list[AccountHead]:
        """All accounts, by id."""
        at = [self._key(keys.account(account_id), keys.HEAD) for account_id in await self.account_ids()]
        heads: list[AccountHead] = []
        for first in range(0, len(at), 100):
            found = await self._db.batch_get(at[first : first + 100])
            heads += [items.to_account(item) for item in found.values()]
        return sorted(heads, key=lambda head: head.id)

    async def account(self, account_id: str) -> AccountHead:
        """One account.

        Raises:
            NotFound: there is none of this id.
        """
        item = await self._db.get(self._key(keys.account(account_id), keys.HEAD))
        if item is None:
            raise NotFound(f"There is no account {account_id}.")
        return items.to_account(item)

    async def update_account(
        self, account_id: str, *, name: str | None = None, platform_allowed: bool | None = None
    ) -> AccountHead:
        """Changes what is given; its version rises, so the next request sees it.

        Raises:
            NotFound: there is no such account.
            Conflict: it changed meanwhile.
        """
        head = await self.account(account_id)
        changed = replace(
            head,
            name=head.name if name is None else name,
            platform_allowed=head.platform_allowed if platform_allowed is None else platform_allowed,
            version=head.version + 1,
        )
        try:
            await self._db.write(
                Update(
                    self._key(keys.account(account_id), keys.HEAD),
                    "SET #name = :name, platform_allowed = :platform_allowed, #version = :version",
                    condition="#version = :seen",
                    names={"#name": "name", "#version": "version"},
                    values={
                        ":name": changed.name,
                        ":platform_allowed": changed.platform_allowed,
                        ":version": changed.version,
                        ":seen": head.version,
                    },
                )
            )
        except ConditionFailed as e:
            raise Conflict("The account was changed by somebody else meanwhile.") from e
        return changed

    async def add_member(self, member: Member) -> None:
        """Adds a member, or changes the role of one.

        Raises:
            NotFound: there is no such account.
        """
        item = items.from_member(member)
        try:
            await self._db.transact(
                [
                    Check(self._key(keys.account(member.account_id), keys.HEAD), "attribute_exists(pk)"),
                    Put(self._key(keys.members_of(member.account_id), member.user_id), item),
                    Put(self._key(keys.accounts_of_user(member.user_id), member.account_id), item),
                ]
            )
        except ConditionFailed as e:
            raise NotFound(f"There is no account {member.account_id}.") from e

    async def remove_member(self, account_id: str, user_id: str) -> None:
        """Ends a membership; the person stays in the user pool.

        Raises:
            NotFound: the user is no member.
        """
        at = self._key(keys.members_of(account_id), user_id)
        try:
            await self._db.transact(
                [
                    Delete(at, condition="attribute_exists(pk)"),
                    Delete(self._key(keys.accounts_of_user(user_id), account_id)),
                ]
            )
        except ConditionFailed as e:
            raise NotFound("There is no such member in the account.") from e

    async def members(self, account_id: str) -> list[Member]:
        """The account's members, by e-mail."""
        rows = await self._db.query_all(self._table, keys.members_of(account_id))
        return sorted((items.to_member(row) for row in rows), key=lambda member: member.email)

    async def role(self, user_id: str, account_id: str) -> Role | None:
        """The user's role in the account; None for a stranger."""
        item = await self._db.get(self._key(keys.members_of(account_id), user_id))
        return Role(item["role"]) if item else None

    async def accounts_of(self, user_id: str) -> list[tuple[str, Role]]:
        """The accounts a user belongs to, with the role in each."""
        rows = await self._db.query_all(self._table, keys.accounts_of_user(user_id))
        return [(row["sk"], Role(row["role"])) for row in rows]
