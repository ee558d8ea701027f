"""Who may do what, for which account. The same table for people: docs/contracts/management-api.md.

An account that the caller does not belong to is 404, exactly as one that does not exist; a member whose role does not
reach is 403.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from ownkey.domain.accounts import PLATFORM_ACCOUNT, Role
from ownkey.domain.audit import ActorKind
from ownkey.domain.errors import Forbidden, InvalidParameter, NotFound
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.http.management.auditing import Auditor, note
from ownkey.http.sessions import Session
from ownkey.registry import Registry

ACCOUNT_HEADER = "x-ownkey-account"


class Right(StrEnum):
    """What an endpoint asks of its caller."""

    READ_ACCOUNT = "read the account"
    CHANGE_ACCOUNT = "change the account's settings"
    READ_MEMBERS = "read the account's members"
    CHANGE_MEMBERS = "change the account's members"
    READ_CREDENTIALS = "read provider keys' public part"
    CHANGE_CREDENTIALS = "save, change and remove provider keys"
    READ_GATEWAY_KEYS = "read gateway keys"
    CREATE_GATEWAY_KEYS = "create gateway keys, and change or revoke those one created"
    CHANGE_GATEWAY_KEYS = "change and revoke any gateway key"
    READ_LIMITS = "read budgets and rate limits"
    CHANGE_LIMITS = "set budgets and rate limits"
    READ_MONEY = "read balance, ledger and usage"
    READ_ACTIVITY = "read single requests"
    READ_AUDIT = "read the audit log"
    READ_RECONCILIATIONS = "read what was compared with providers' reports"
    RECONCILE = "keep admin credentials, and compare with providers' reports"


_ALL = frozenset(Right)
_READ_ONLY = frozenset(
    {
        Right.READ_ACCOUNT,
        Right.READ_LIMITS,
        Right.READ_MONEY,
        Right.READ_ACTIVITY,
        Right.READ_RECONCILIATIONS,
    }
)

GRANTS: Mapping[Role, frozenset[Right]] = {
    Role.OWNER: _ALL,
    Role.ADMIN: _ALL,
    Role.MEMBER: _READ_ONLY
    | {Right.READ_MEMBERS, Right.READ_CREDENTIALS, Right.READ_GATEWAY_KEYS, Right.CREATE_GATEWAY_KEYS},
    Role.BILLING: _READ_ONLY,
}
OPERATOR_GRANTS = frozenset(
    {
        Right.READ_ACCOUNT,
        Right.CHANGE_ACCOUNT,
        Right.READ_MEMBERS,
        Right.CHANGE_MEMBERS,
        Right.READ_LIMITS,
        Right.READ_MONEY,
    }
)
"""In accounts the operator is no member of: enough to run them, nothing of their keys and requests."""
PLATFORM_GRANTS = frozenset(
    {
        Right.READ_ACCOUNT,
        Right.READ_CREDENTIALS,
        Right.CHANGE_CREDENTIALS,
        Right.READ_AUDIT,
        Right.READ_RECONCILIATIONS,
        Right.RECONCILE,
    }
)
"""The operator in the platform's own account, which has credentials and nothing else."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in: to this account, with this role (None: as the operator)."""

    session: Session
    account_id: str
    role: Role | None

    @property
    def user_id(self) -> str:
        """The person."""
        return self.session.user_id

    def may(self, right: Right) -> bool:
        """Whether the caller has a right in the account."""
        return right in _grants(self.session, self.account_id, self.role)


class Access:
    """Lets callers in. On a request that changes something, that is written to the account's audit log first."""

    def __init__(self, registry: Registry, auditor: Auditor) -> None:
        self._registry = registry
        self._auditor = auditor

    async def operator(self, request: Request, account_id: str | None = None) -> Session:
        """The operator, about an account or (None) about the deployment, whose log is `platform`'s.

        Raises:
            Forbidden: somebody else; NotFound: there is no such account.
        """
        session = session_of(request)
        if not session.operator:
            if account_id is not None and await self._registry.role(session.user_id, account_id) is not None:
                await self._auditor.begin(request, account_id, ActorKind.USER, session.user_id)
            raise Forbidden("Only an operator of the deployment may do this.", fix="Ask the operator.")
        if account_id is not None:
            await self._registry.account(account_id)
        request.state.account_id = account_id or PLATFORM_ACCOUNT
        await self._auditor.begin(request, account_id or PLATFORM_ACCOUNT, ActorKind.OPERATOR, session.user_id)
        return session

    async def enter(self, request: Request, right: Right, account_id: str | None = None) -> Caller:
        """The caller, in the account of the path, else of the header or query, else in the only one there is.

        Raises:
            NotFound, Forbidden; InvalidParameter: which account is not clear.
        """
        session = session_of(request)
        account_id = account_id or named_account(request) or await self._only_account(session)
        return await self._admit(request, await self._member(session, account_id), right)

    async def enter_with_gateway_key(self, request: Request, right: Right, key_id: str) -> tuple[Caller, GatewayKey]:
        """The caller in the account of this gateway key, which need not be named: clients of one key name no account.

        Raises:
            As `enter`; NotFound: no account that the caller may mean has the key.
        """
        session = session_of(request)
        named = named_account(request)
        accounts = [named] if named else [account for account, _ in await self._registry.accounts_of(session.user_id)]
        for account_id in accounts:
            caller = await self._member(session, account_id)
            with suppress(NotFound):
                key = await self._registry.gateway_key(account_id, key_id)
                await self._admit(request, caller, right)
                note(request, gateway_key_id=key.id)
                return caller, key
        raise NotFound("There is no such gateway key.", fix="Use an id from GET /api/gateway-keys.", param="keyId")

    async def _admit(self, request: Request, caller: Caller, right: Right) -> Caller:
        """Whoever is in the account is logged before the right is looked at: a refusal is worth knowing too."""
        request.state.account_id = caller.account_id
        kind = ActorKind.USER if caller.role else ActorKind.OPERATOR
        await self._auditor.begin(request, caller.account_id, kind, caller.user_id)
        if not caller.may(right):
            raise Forbidden(f"The role {caller.role or 'operator'} may not {right.value} here.")
        return caller

    async def _member(self, session: Session, account_id: str) -> Caller:
        platform = account_id == PLATFORM_ACCOUNT
        role = None if platform else await self._registry.role(session.user_id, account_id)
        if role is None and not session.operator:
            raise NotFound("There is no such account.")
        if role is None and not platform:
            await self._registry.account(account_id)
        return Caller(session, account_id, role)

    async def _only_account(self, session: Session) -> str:
        accounts = [account_id for account_id, _ in await self._registry.accounts_of(session.user_id)]
        if len(accounts) == 1:
            return accounts[0]
        if not accounts:
            raise Forbidden(
                "You belong to no account.",
                fix=f"Ask to be added to one; an operator names the account in `{ACCOUNT_HEADER}`.",
            )
        raise InvalidParameter(
            "You belong to several accounts.",
            fix=f"Name one in the header `{ACCOUNT_HEADER}` or the query `account`: {', '.join(accounts)}.",
            param="account",
        )


def session_of(request: Request) -> Session:
    """Who calls; the app has checked the token before any route is reached."""
    session: Session = request.state.session
    return session


def named_account(request: Request) -> str | None:
    """The account that the request names in its header or query.

    Raises:
        InvalidParameter: it names two.
    """
    header, query = request.headers.get(ACCOUNT_HEADER), request.query_params.get("account")
    if header and query and header != query:
        raise InvalidParameter("Header and query name different accounts.", param="account")
    return header or query or None


def _grants(session: Session, account_id: str, role: Role | None) -> frozenset[Right]:
    """What the caller may do: as a member, as the operator, or as both."""
    if not session.operator:
        return GRANTS[role] if role else frozenset()
    if account_id == PLATFORM_ACCOUNT:
        return PLATFORM_GRANTS
    return OPERATOR_GRANTS | (GRANTS[role] if role else frozenset())
