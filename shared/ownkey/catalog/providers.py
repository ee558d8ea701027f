"""A provider as data: where it is, how a key is presented and checked, what it speaks.

Rows come from providers.toml; its head explains each field to whoever adds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from ownkey.domain.surfaces import Dialect, Surface


class Kind(StrEnum):
    """Whose models it serves. The order here is the order in which rows are preferred for a bare model id."""

    MAKER = "maker"
    """Its own."""
    HOST = "host"
    """Open models, on its own machines."""
    GATEWAY = "gateway"
    """Other providers' models, passed on."""
    CUSTOM = "custom"
    """Whatever the user's own base URL serves."""


class Verdict(StrEnum):
    """What the answer to a validation call says of the key."""

    ACCEPTED = "accepted"
    LIMITED = "limited"
    """Genuine, but short of a permission for this call, or of funds: it may be saved."""
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    """Rate limit, failure, redirect: nothing was learned of the key."""


class ValidationStatus(StrEnum):
    """How sure it is that the validation call tells a good key from a bad one."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    """A refusal is a refusal, but an acceptance may only mean that the endpoint is public."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key is presented."""

    header: str
    template: str
    """The header's value, with `{key}` in the key's place."""

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key: secret."""
        return {self.header: self.template.replace("{key}", key)}


@dataclass(frozen=True, slots=True)
class KeyHint:
    """What keys of the provider usually look like. A hint for people: never a reason to refuse a key."""

    prefixes: tuple[str, ...] = ()
    pattern: str | None = None
    """A regular expression for the whole key."""

    def fits(self, key: str) -> bool:
        """Whether the key looks as usual; True where nothing usual is known."""
        if self.pattern:
            return re.fullmatch(self.pattern, key) is not None
        return not self.prefixes or key.startswith(self.prefixes)


@dataclass(frozen=True, slots=True)
class Validation:
    """The one call that tells whether a key is good; it costs nothing or next to nothing."""

    method: str
    path: str
    """Appended to the base URL; or an absolute URL where the provider checks keys elsewhere."""
    body: str | None
    """JSON text to send, where the method wants one."""
    accepted: frozenset[int]
    limited: frozenset[int]
    rejected: frozenset[int]
    status: ValidationStatus

    def verdict(self, status: int) -> Verdict:
        """What the HTTP status of the answer means for the key."""
        if status in self.accepted:
            return Verdict.ACCEPTED
        if status in self.limited:
            return Verdict.LIMITED
        return Verdict.REJECTED if status in self.rejected else Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class UpstreamOverride:
    """Where a provider is to be found instead: a simulated one, a proxy."""

    base_url: str
    validation_url: str | None = None
    """None: the path of the provider's own validation call, under the new base URL's origin."""

    @staticmethod
    def of(value: UpstreamOverride | str | Mapping[str, str]) -> UpstreamOverride:
        """From a base URL, or an object of this class's fields as JSON has it.

        Raises:
            ValueError: an object without `base_url`, or with a field that is not known.
        """
        if isinstance(value, UpstreamOverride):
            return value
        if isinstance(value, str):
            return UpstreamOverride(value.rstrip("/"))
        if unknown := value.keys() - {"base_url", "validation_url"}:
            raise ValueError(f"unknown field of an upstream: {', '.join(sorted(unknown))}")
        if "base_url" not in value:
            raise ValueError("an upstream needs a base_url")
        return UpstreamOverride(value["base_url"].rstrip("/"), value.get("validation_url"))


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of providers.toml."""

    id: str
    display_name: str
    aliases: tuple[str, ...]
    """Other names people type; matched without regard to case."""
    kind: Kind
    family: Dialect
    """The dialect it speaks: names the translator."""
    base_url: str | None
    """Without a trailing slash. None: each credential brings its own."""
    auth: Auth
    headers: Mapping[str, str]
    """Sent with every request unless the client's request has its own value."""
    credential_headers: Mapping[str, str]
    """Further headers a credential may set: their name in our API (`organization`) to the header's."""
    key_hint: KeyHint
    key_url: str | None
    """Where people get a key."""
    validation: Validation
    surfaces: frozenset[Surface]
    """What it serves natively."""
    quirks: frozenset[str]
    """Departures from its dialect, of `QUIRKS`; the translator reads them."""
    source: str
    """Where the facts of the row are from."""
    checked: date
    """When they were last checked."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it goes by: id, display name, aliases."""
        return (self.id, self.display_name, *self.aliases)

    def validation_url(self, base_url: str | None = None) -> str:
        """Where to validate a key that belongs to `base_url` (None: to the provider's own).

        A key for a base URL of the user's own is never sent to the provider's host: an absolute validation URL is
        then moved to the origin of that base URL.

        Raises:
            ValueError: no base URL, neither given nor in the row.
        """
        base = (base_url or self.base_url or "").rstrip("/")
        if not base:
            raise ValueError(f"{self.id} has no base URL of its own: the credential must bring one")
        path = self.validation.path
        if "://" not in path:
            return base + path
        return path if base == self.base_url else _moved(path, base)

    def at(self, override: UpstreamOverride) -> Provider:
        """The same provider, found elsewhere."""
        path = override.validation_url or self.validation.path
        if override.validation_url is None and "://" in path:
            path = _moved(path, override.base_url)
        return replace(self, base_url=override.base_url, validation=replace(self.validation, path=path))


QUIRKS: Mapping[str, str] = {
    "no_stream_options": "Refuses `stream_options`; its streams carry usage without being asked.",
}
"""The departures from a dialect that rows may name, and what each means."""


def decode_provider(row: Mapping[str, Any]) -> Provider:
    """The provider of a row of providers.json (or of providers.toml: the two have one shape).

    Raises:
        KeyError, TypeError, ValueError: the row lacks a field or has one that is not known.
    """
    fields = dict(row)
    fields.pop("price_source", None)
    return Provider(
        **{
            "base_url": None,
            "headers": {},
            "credential_headers": {},
            "key_url": None,
            **fields,
            "aliases": tuple(row.get("aliases", ())),
            "kind": Kind(row["kind"]),
            "family": Dialect(row["family"]),
            "auth": Auth(**row["auth"]),
            "key_hint": _decode_key_hint(row.get("key_hint", {})),
            "validation": _decode_validation(row["validation"]),
            "surfaces": frozenset(map(Surface, row["surfaces"])),
            "quirks": frozenset(row.get("quirks", ())),
            "checked": date.fromisoformat(str(row["checked"])),
        }
    )


def _decode_key_hint(row: Mapping[str, Any]) -> KeyHint:
    return KeyHint(**{**row, "prefixes": tuple(row.get("prefixes", ()))})


def _decode_validation(row: Mapping[str, Any]) -> Validation:
    verdicts = {name: frozenset(row.get(name, ())) for name in ("accepted", "limited", "rejected")}
    return Validation(**{"body": None, **row, **verdicts, "status": ValidationStatus(row["status"])})


def _moved(url: str, base_url: str) -> str:
    """`url` with the origin of `base_url`."""
    there, here = urlsplit(base_url), urlsplit(url)
    return here._replace(scheme=there.scheme, netloc=there.netloc).geturl()
