"""An invitation into an account, for whoever has the e-mail address: until accepted, declined, revoked or over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from ownkey.domain.accounts import Role

INVITATION_DAYS = 14


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who is invited to what, and by whom: an invitation is worth what its author may still give."""

    id: str
    account_id: str
    email: str
    """In lower case."""
    role: Role
    invited_by: str
    """A user's id."""
    invited_as: Role | None
    """The author's role; None: the operator."""
    invited_at: str
    expires_at: str

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return datetime.fromisoformat(self.expires_at) <= now.astimezone(UTC)


def email_digest(email: str) -> str:
    """What the invitations to an address stand under."""
    return sha256(email.lower().encode()).hexdigest()
