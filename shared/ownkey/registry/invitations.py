"""Open invitations: one item in the account's list, one in that of the e-mail address, both or none."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from ownkey.domain.accounts import Member, Role
from ownkey.domain.errors import Conflict, NotFound
from ownkey.domain.invitations import Invitation, email_digest
from ownkey.registry import items
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import Check, ConditionFailed, Delete, Item, Key, Put, Write


class Invitations(RegistryTable):
    """Reads and writes of invitations. What has expired is not there, whenever DynamoDB gets to removing it."""

    async def create_invitation(self, invitation: Invitation) -> None:
        """Stores an invitation.

        Raises:
            NotFound: there is no such account.
            Conflict: one of its id exists.
        """
        item = _to_item(invitation)
        try:
            await self._db.transact(
                [
                    Check(self._head_at(invitation.account_id), "attribute_exists(pk)"),
                    Put(self._in_account(invitation), item, condition="attribute_not_exists(pk)"),
                    Put(self._in_inbox(invitation), item),
                ]
            )
        except ConditionFailed as e:
            if e.index == 0:
                raise NotFound(f"There is no account {invitation.account_id}.") from e
            raise Conflict("This invitation exists already.") from e

    async def invitations(self, account_id: str, *, now: datetime) -> list[Invitation]:
        """The account's open invitations, oldest first."""
        return await self._open(keys.invitations(account_id), now)

    async def invitation(self, account_id: str, invitation_id: str, *, now: datetime) -> Invitation:
        """One of them.

        Raises:
            NotFound: the account has no open invitation of this id.
        """
        return _found(await self._db.get(self._key(keys.invitations(account_id), invitation_id)), now)

    async def invitations_to(self, email: str, *, now: datetime) -> list[Invitation]:
        """The open invitations to an e-mail address, oldest first."""
        return await self._open(keys.invitations_to(email_digest(email)), now)

    async def invitation_to(self, email: str, invitation_id: str, *, now: datetime) -> Invitation:
        """One of them.

        Raises:
            NotFound: the address has no open invitation of this id.
        """
        return _found(await self._db.get(self._key(keys.invitations_to(email_digest(email)), invitation_id)), now)

    async def accept_invitation(self, invitation: Invitation, member: Member) -> None:
        """Makes the member and uses the invitation up, in one transaction.

        Raises:
            Conflict: who was invited is a member by now, or who invited is no longer what they were, or both are one.
            NotFound: the invitation was used or revoked meanwhile.
        """
        if member.user_id == invitation.invited_by:
            raise Conflict("Nobody accepts an invitation of their own.", fix="Decline the invitation.")
        item = items.from_member(member)
        writes: list[Write] = [
            Delete(self._in_account(invitation), condition="attribute_exists(pk)"),
            Delete(self._in_inbox(invitation)),
            Put(
                self._key(keys.members_of(member.account_id), member.user_id),
                item,
                condition="attribute_not_exists(pk)",
            ),
            Put(self._key(keys.accounts_of_user(member.user_id), member.account_id), item),
        ]
        if invitation.invited_as is not None:
            author = self._key(keys.members_of(invitation.account_id), invitation.invited_by)
            writes.append(
                Check(author, "#role = :role", names={"#role": "role"}, values={":role": invitation.invited_as.value})
            )
        try:
            await self._db.transact(writes)
        except ConditionFailed as e:
            if e.index == 0:
                raise _gone() from e
            if e.index == 2:
                raise Conflict("You are a member of this account already.", fix="Decline the invitation.") from e
            raise Conflict(
                "Whoever invited you may no longer do so.", fix="Ask an owner of the account to invite you again."
            ) from e

    async def drop_invitation(self, invitation: Invitation) -> None:
        """Takes an invitation back, or declines it.

        Raises:
            NotFound: it was used or dropped meanwhile.
        """
        try:
            await self._db.transact(
                [
                    Delete(self._in_account(invitation), condition="attribute_exists(pk)"),
                    Delete(self._in_inbox(invitation)),
                ]
            )
        except ConditionFailed as e:
            raise _gone() from e

    async def _open(self, partition: str, now: datetime) -> list[Invitation]:
        rows = [_to_invitation(row) for row in await self._db.query_all(self._table, partition)]
        return [each for each in rows if not each.expired(now)]

    def _in_account(self, invitation: Invitation) -> Key:
        return self._key(keys.invitations(invitation.account_id), invitation.id)

    def _in_inbox(self, invitation: Invitation) -> Key:
        return self._key(keys.invitations_to(email_digest(invitation.email)), invitation.id)


def _found(item: Item | None, now: datetime) -> Invitation:
    invitation = _to_invitation(item) if item else None
    if invitation is None or invitation.expired(now):
        raise _gone()
    return invitation


def _gone() -> NotFound:
    return NotFound("There is no such open invitation.")


def _to_item(invitation: Invitation) -> Item:
    ttl_s = int(datetime.fromisoformat(invitation.expires_at).timestamp())
    invited_as = invitation.invited_as and invitation.invited_as.value
    return asdict(invitation) | {"role": invitation.role.value, "invited_as": invited_as, "ttl_s": ttl_s}


def _to_invitation(item: Item) -> Invitation:
    values: dict[str, Any] = {f.name: item.get(f.name) for f in fields(Invitation)}
    invited_as = item.get("invited_as")
    return Invitation(**values | {"role": Role(item["role"]), "invited_as": Role(invited_as) if invited_as else None})
