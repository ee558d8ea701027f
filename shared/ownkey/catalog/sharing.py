"""The text that accounts consent to before they share a credential (`sharing.json`): data, read once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from ownkey.catalog.catalog import Catalog
from ownkey.catalog.providers import Kind
from ownkey.domain.sharing import SharingTerms

_FILE = Path(__file__).with_name("sharing.json")


@dataclass(frozen=True, slots=True)
class ConsentText:
    """One version of it."""

    version: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, paragraphs apart by an empty line."""
        return "\n\n".join(self.paragraphs)

    @property
    def digest(self) -> str:
        """SHA-256 of the text in UTF-8, hex."""
        return sha256(self.text.encode()).hexdigest()


def sharing_terms(catalog: Catalog, providers: Iterable[str], reward_basis_points: int) -> SharingTerms:
    """The deployment's terms, by the text as it is now.

    Args:
        providers: Ids that the operator has listed.

    Raises:
        ValueError: one is no provider of the catalog with an address of its own: the list would not do what it says.
    """
    listed = frozenset(providers)
    if unknown := [each for each in sorted(listed) if not _has_an_address(catalog, each)]:
        raise ValueError(f"SharingProviders names what is no provider: {', '.join(unknown)}")
    text = consent_text()
    return SharingTerms(text.version, text.digest, listed, reward_basis_points)


def _has_an_address(catalog: Catalog, provider_id: str) -> bool:
    return catalog.knows_provider(provider_id) and catalog.provider(provider_id).kind is not Kind.CUSTOM


@cache
def consent_text() -> ConsentText:
    """The text as it is now."""
    read = json.loads(_FILE.read_text(encoding="utf-8"))
    return ConsentText(read["version"], tuple(read["text"]))
