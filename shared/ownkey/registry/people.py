"""Accounts and their members. No account is ever left without an owner, whoever leaves at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ownkey.domain.accounts import AccountHead, Member, OnDisconnect, Role
from ownkey.domain.errors import Conflict, NotFound
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import Check, ConditionFailed, Delete, Key, Put, Update, Write

_ROLE = {"#role": "role"}


class People(RegistryTable):
    """Reads and writes of accounts and members for management."""

    async def create_account(
        self, account_id: str, name: str, *, now: str, owner: Member | None = None, once: Write | None = None
    ) -> AccountHead:
        """A new account without keys, with its first owner or nobody.

        Args:
            once: Written with it, unless its condition says that it was, for an account of this id that was lost.

        Raises:
            Conflict: the id is taken.
        """
        head = AccountHead(account_id, name, version=1, created_at=now)
        writes: list[Write] = [
            Put(
                self._head_at(account_id),
                items.from_account(head),
                condition="attribute_not_exists(pk)",
            ),
            Put(self._key(keys.ACCOUNTS_PARTITION, account_id), {"created_at": now}),
        ]
        if owner is not None:
            item = items.from_member(owner)
            writes += [Put(self._member_at(owner), item), Put(self._membership_at(owner), item)]
        try:
            try:
                await self._db.transact(writes if once is None else [*writes, once])
            except ConditionFailed as e:
                if once is None or e.failed != (len(writes),):
                    raise
                await self._db.transact(writes)
        except ConditionFailed as e:
            raise Conflict(f"There is an account {account_id} already.") from e
        return head

    async def account_ids(self) -> list[str]:
        """The ids of all accounts."""
        return [row["sk"] for row in await self._db.query_all(self._table, keys.ACCOUNTS_PARTITION)]

    async def has_account(self, account_id: str) -> bool:
        """Whether there is one of this id, by the list of accounts: for whoever may read nothing else of them."""
        return await self._db.get(self._key(keys.ACCOUNTS_PARTITION, account_id)) is not None

    async def accounts(self, account_ids: Sequence[str] | None = None) -> list[AccountHead]:
        """These accounts (None: all), by id; one that does not exist is left out."""
        wanted = await self.account_ids() if account_ids is None else account_ids
        at = [self._head_at(account_id) for account_id in wanted]
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
        item = await self._db.get(self._head_at(account_id))
        if item is None:
            raise NotFound(f"There is no account {account_id}.")
        return items.to_account(item)

    async def update_account(
        self,
        seen: AccountHead,
        *,
        name: str | None = None,
        platform_allowed: bool | None = None,
        disabled: bool | None = None,
        on_disconnect: OnDisconnect | None = None,
    ) -> AccountHead:
        """Changes what is given; the account's version rises, so the next request goes by it.

        Raises:
            Conflict: one of them is no longer what was seen.
        """
        changed = replace(
            seen,
            name=seen.name if name is None else name,
            platform_allowed=seen.platform_allowed if platform_allowed is None else platform_allowed,
            disabled=seen.disabled if disabled is None else disabled,
            on_disconnect=seen.on_disconnect if on_disconnect is None else on_disconnect,
        )
        update = Update(
            self._head_at(seen.id),
            "SET #name = :name, platform_allowed = :platform_allowed, disabled = :disabled, "
            "on_disconnect = :on_disconnect ADD #version :one",
            # Not by the version, which rises with every credential.
            condition="#name = :seen_name AND platform_allowed = :seen_platform_allowed AND disabled = :seen_disabled "
            # Heads of an earlier release lack it.
            "AND (on_disconnect = :seen_on_disconnect OR attribute_not_exists(on_disconnect))",
            names={"#name": "name", "#version": "version"},
            values={
                ":name": changed.name,
                ":platform_allowed": changed.platform_allowed,
                ":disabled": changed.disabled,
                ":on_disconnect": changed.on_disconnect.value,
                ":seen_name": seen.name,
                ":seen_platform_allowed": seen.platform_allowed,
                ":seen_disabled": seen.disabled,
                ":seen_on_disconnect": seen.on_disconnect.value,
                ":one": 1,
            },
        )
        try:
            await self._db.write(update)
        except ConditionFailed as e:
            raise Conflict("The account was changed by somebody else meanwhile.") from e
        return await self.account(seen.id)

    async def add_member(self, member: Member) -> None:
        """Adds a member.

        Raises:
            NotFound: there is no such account.
            Conflict: the person is a member already.
        """
        item = items.from_member(member)
        try:
            await self._db.transact(
                [
                    Check(self._head_at(member.account_id), "attribute_exists(pk)"),
                    Put(self._member_at(member), item, condition="attribute_not_exists(pk)"),
                    Put(self._membership_at(member), item),
                ]
            )
        except ConditionFailed as e:
            if e.index == 0:
                raise NotFound(f"There is no account {member.account_id}.") from e
            raise Conflict("This person is a member of the account already.") from e

    async def change_member(self, seen: Member, changed: Member) -> None:
        """Gives a member another role, or e-mail address.

        Raises:
            Conflict: it is the account's last owner who would be none, or the member was changed meanwhile.
        """
        item = items.from_member(changed)
        writes: list[Write] = [
            Put(self._member_at(seen), item, "#role = :seen", _ROLE, {":seen": seen.role.value}),
            Put(self._membership_at(seen), item),
        ]
        await self._transact_keeping_an_owner(seen, writes, leaves=changed.role is not Role.OWNER)

    async def remove_member(self, seen: Member) -> None:
        """Ends a membership; the person stays in the user pool.

        Raises:
            Conflict: it is the account's last owner, or the member was changed meanwhile.
        """
        writes: list[Write] = [
            Delete(self._member_at(seen), "#role = :seen", _ROLE, {":seen": seen.role.value}),
            Delete(self._membership_at(seen)),
        ]
        await self._transact_keeping_an_owner(seen, writes, leaves=True)

    async def members(self, account_id: str) -> list[Member]:
        """The account's members, by e-mail."""
        rows = await self._db.query_all(self._table, keys.members_of(account_id))
        return sorted((items.to_member(row) for row in rows), key=lambda member: member.email)

    async def member(self, account_id: str, user_id: str) -> Member:
        """One of them.

        Raises:
            NotFound: the person is no member.
        """
        item = await self._db.get(self._key(keys.members_of(account_id), user_id))
        if item is None:
            raise NotFound("There is no such member in the account.")
        return items.to_member(item)

    async def role(self, user_id: str, account_id: str) -> Role | None:
        """The user's role in the account; None for a stranger."""
        item = await self._db.get(self._key(keys.members_of(account_id), user_id))
        return Role(item["role"]) if item else None

    async def accounts_of(self, user_id: str) -> list[tuple[str, Role]]:
        """The accounts a user belongs to, with the role in each."""
        rows = await self._db.query_all(self._table, keys.accounts_of_user(user_id))
        return [(row["sk"], Role(row["role"])) for row in rows]

    async def _transact_keeping_an_owner(self, seen: Member, writes: list[Write], *, leaves: bool) -> None:
        """The writes; where they take an owner away, on condition that another one is still an owner.

        Of two owners who remove each other at the same moment, one finds the condition broken.
        """
        if leaves and seen.role is Role.OWNER:
            others = [m for m in await self.members(seen.account_id) if m.role is Role.OWNER]
            others = [each for each in others if each.user_id != seen.user_id]
            if not others:
                raise _last_owner()
            owner = {":owner": Role.OWNER.value}
            writes = [*writes, Check(self._member_at(others[0]), "#role = :owner", _ROLE, owner)]
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            raise Conflict("The account's members were changed by somebody else meanwhile.") from e

    def _member_at(self, member: Member) -> Key:
        return self._key(keys.members_of(member.account_id), member.user_id)

    def _membership_at(self, member: Member) -> Key:
        return self._key(keys.accounts_of_user(member.user_id), member.account_id)


def _last_owner() -> Conflict:
    return Conflict("This is the account's last owner.", fix="Make somebody else an owner first.")
