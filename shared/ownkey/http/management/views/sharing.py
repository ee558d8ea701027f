"""How sharing is shown: the terms, the account's consent, its credentials, its rewards. Of others nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ownkey.catalog import Catalog
from ownkey.catalog.sharing import ConsentText
from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Credential
from ownkey.domain.money import usd_string
from ownkey.domain.sharing import SharingTerms, hindrance
from ownkey.http.management.views.credentials import provider_name
from ownkey.ledger.records import Reward

Json = dict[str, Any]


def sharing(
    head: AccountHead,
    credentials: Iterable[Credential],
    terms: SharingTerms,
    text: ConsentText,
    catalog: Catalog,
    at: datetime,
) -> Json:
    """All that an account goes by."""
    consent = head.sharing_consent
    return {
        "providers": [{"id": each, "name": provider_name(each, catalog)} for each in sorted(terms.providers)],
        "reward_basis_points": terms.reward_basis_points,
        "consent_text": {"version": text.version, "digest": text.digest, "text": text.text},
        "consent": consent
        and {
            "version": consent.version,
            "digest": consent.digest,
            "given_by": consent.given_by,
            "given_at": consent.given_at,
            "outdated": not terms.consented(consent),
        },
        "credentials": [_credential(head, each, terms, at) for each in credentials],
    }


def reward(each: Reward) -> Json:
    """What the account was given for one request of somebody else's; of when it was, the hour."""
    return {
        "id": each.id,
        "provider": each.provider_id,
        "model": each.model_id,
        "amount_usd": usd_string(each.amount_nanousd),
        "earned_at": each.earned_at,
        "state": "requested" if each.billed_at is None else "billed",
    }


def _credential(head: AccountHead, each: Credential, terms: SharingTerms, at: datetime) -> Json:
    why = hindrance(terms, head, each, at)
    return {
        "id": each.id,
        "alias": each.alias,
        "provider": each.provider_id,
        "shared": each.shared,
        "serves": why is None,
        "hindrance": why and why.value,
    }
