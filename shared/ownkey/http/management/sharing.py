"""`/api/sharing`: the terms, an account's consent to them, which of its credentials serve others, and for what.

Whether one serves is decided with each request anew (`domain.sharing`); what is checked here is only said earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.catalog import Catalog
from ownkey.catalog.sharing import ConsentText
from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import Conflict, InvalidParameter, SharingConsentRequired, SharingNotPermitted
from ownkey.domain.sharing import Consent, Hindrance, SharingTerms, never_shared
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import Cursor, Limit, answer, answer_page, read_cursor
from ownkey.http.management.auditing import note
from ownkey.http.management.cards import Cards
from ownkey.http.management.credentials import CredentialDesk
from ownkey.ledger.records import Records
from ownkey.registry import Registry, ShareCredential

_NEVER = {
    Hindrance.OWN_ENDPOINT: "A credential for an endpoint of your own is not shared: whoever runs it would read the "
    "requests of others.",
    Hindrance.KEYLESS: "A credential without a secret is not shared: it stands for this deployment itself.",
    Hindrance.GATEWAY_KEYS: "A credential for chosen gateway keys is not shared: those of others are not among them.",
}


def routes(
    access: Access,
    registry: Registry,
    desk: CredentialDesk,
    cards: Cards,
    records: Records,
    catalog: Catalog,
    terms: SharingTerms,
    text: ConsentText,
    now: Callable[[], datetime],
) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api")

    async def shown(head: AccountHead) -> Response:
        credentials = await registry.credentials(head.id)
        return answer(views.sharing(head, credentials, terms, text, catalog, now()))

    @router.get("/sharing")
    async def read_sharing(request: Request) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        return await shown(await desk.head(caller.account_id))

    @router.put("/sharing/consent")
    async def give_consent(request: Request, body: bodies.GiveConsent) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        consent = Consent(body.version, body.digest, caller.user_id, rfc3339(now()))
        if not terms.consented(consent):
            raise Conflict(
                "The text about sharing is another by now.", fix="Read it again (GET /api/sharing), then consent to it."
            )
        await desk.head(caller.account_id)
        head = await registry.give_consent(caller.account_id, consent)
        note(request, consent_version=consent.version, consent_digest=consent.digest)
        return await shown(head)

    @router.delete("/sharing/consent")
    async def withdraw_consent(request: Request) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        await desk.head(caller.account_id)
        return await shown(await registry.withdraw_consent(caller.account_id))

    @router.get("/sharing/rewards")
    async def list_rewards(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
        caller = await access.enter(request, Right.READ_MONEY)
        page = await records.rewards(caller.account_id, limit=limit, cursor=read_cursor(cursor))
        return answer_page(map(views.reward, page.rewards), page.next_cursor)

    @router.put("/byok/{credential_id}/sharing")
    async def set_sharing(request: Request, credential_id: str, body: bodies.SetSharing) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS)
        versions = await desk.credential(caller.account_id, credential_id)
        etags.check(request, cards.unadorned(versions))
        current = versions[0].credential
        if body.shared:
            _check(current, await desk.head(caller.account_id), terms, catalog)
        if body.shared != current.shared:
            shared_version = current.version if body.shared else None
            changed = replace(current, shared_version=shared_version, updated_at=desk.timestamp())
            await desk.store(caller.account_id, [ShareCredential(changed, current)])
        note(request, credential_id=current.id, provider=current.provider_id, version=current.version)
        note(request, shared=body.shared)
        (view,) = await cards.of(caller.account_id, await desk.credential(caller.account_id, credential_id))
        return etags.answer(view)

    return router


def _check(credential: Credential, head: AccountHead, terms: SharingTerms, catalog: Catalog) -> None:
    """Whether it may be shared now.

    Raises:
        SharingNotPermitted, SharingConsentRequired, InvalidParameter.
    """
    if credential.account_id == PLATFORM_ACCOUNT:
        raise InvalidParameter("The platform's own credentials serve everybody as they are.", param="shared")
    if credential.provider_id not in terms.providers:
        name = views.provider_name(credential.provider_id, catalog)
        raise SharingNotPermitted(
            f"The terms of {name} are not marked as permitting that one customer's key serves others."
        )
    if why := never_shared(credential):
        raise InvalidParameter(_NEVER[why], param="shared")
    if not terms.consented(head.sharing_consent):
        raise SharingConsentRequired(
            "The account has not consented to the text about sharing as it is now.",
            details={"version": terms.consent_version, "digest": terms.consent_digest},
        )
