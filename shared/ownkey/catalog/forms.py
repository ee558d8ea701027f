"""In which forms a provider's credential can be given, as data: its fields, its address, how it authorises a request.

A row of providers.toml without forms has the one form `key`: a secret field `key`, in the row's auth header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ownkey.catalog.calls import Auth, Validation, decode_validation

KEY = "key"
"""The id of the plain form, and the name of its one field."""

PLACE = re.compile(r"\{([a-z_]+)\}")
"""A field's place in an address."""
_HARMLESS = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
"""What may stand in a place: nothing that could end a host or a segment, or leave it upwards."""


class Scheme(StrEnum):
    """How the secret becomes an authorised request."""

    HEADER = "header"
    """Field `key` in a header."""
    SIGV4 = "sigv4"
    """AWS's signature by `access_key_id`, `secret_access_key` and perhaps `session_token`; public: `region`."""
    GOOGLE_SERVICE_ACCOUNT = "google_service_account"
    """`private_key` signs a JWT, which is exchanged for an access token."""
    OPENAI_WORKLOAD_IDENTITY = "openai_workload_identity"
    """The function's own AWS identity is exchanged for OpenAI's access token."""
    ANTHROPIC_WORKLOAD_IDENTITY = "anthropic_workload_identity"
    """The same at Anthropic."""
    AWS_ROLE = "aws_role"
    """The function assumes `role_arn`; the temporary keys sign as in SIGV4."""

    @property
    def signs(self) -> bool:
        """Whether requests carry AWS's signature; else a key or token in a header."""
        return self in (Scheme.SIGV4, Scheme.AWS_ROLE)

    @property
    def exchanges(self) -> bool:
        """Whether what is presented is had by an exchange first, and lasts but a while."""
        return self not in (Scheme.HEADER, Scheme.SIGV4)


@dataclass(frozen=True, slots=True)
class Field:
    """One part of a credential."""

    name: str
    """In the sealed secret, or among a credential's public fields."""
    wire: str
    """The member of a request that has it; `aws_credentials.region` is a member of a member."""
    label: str
    secret: bool = False
    required: bool = True
    kept: bool = True
    """False: it is checked, and not stored."""
    pattern: str | None = None
    """A regular expression for the whole of it."""
    choices: tuple[str, ...] = ()
    default: str | None = None
    example: str | None = None
    where: str = ""
    """Where people find it."""
    endpoint: bool = False
    """Given as an https URL, kept as its host. A host that does not fit the pattern is an address of the user's own."""
    tail: str = ""
    """Of an endpoint: a regular expression of what people copy behind the host, which says nothing more."""
    shown_head: int = 0
    """Of a secret's first characters, how many its mask shows: those that say what kind it is (`AKIA`)."""

    @property
    def member(self) -> str:
        """The member of the request that has it, or has it inside."""
        return self.wire.partition(".")[0]

    def fits(self, value: str) -> bool:
        """Whether a value can be this field's."""
        if self.choices and value not in self.choices:
            return False
        return self.pattern is None or re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True, slots=True)
class Form:
    """One way to give a credential."""

    id: str
    label: str
    scheme: Scheme
    fields: tuple[Field, ...]
    validation: Validation
    """Its own, or the row's."""
    auth: Auth
    """Its own, or the row's: the header of a key or token."""
    base_url: str | None = None
    """https, with public fields in their places. None: the provider's base URL, or the user's own."""
    base_urls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Field → its value → the address instead."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with what is presented, beside the request's own of the same name."""
    service: str | None = None
    """The name a signature is for."""
    token_url: str | None = None
    """Where a token is had in exchange: pinned here, whatever a credential says."""
    mask: tuple[str, ...] = (KEY,)
    """The fields people see in its place, secret ones masked."""
    further_members: bool = False
    """Whether an object may have members that no field reads: a file as its vendor writes it."""

    @property
    def stores_secret(self) -> bool:
        """Whether anything of it is sealed."""
        return any(each.secret for each in self.fields)

    @property
    def keyless(self) -> bool:
        """Whether it has no secret: the function's own identity is exchanged for a token."""
        return not self.stores_secret

    def destination(self, public: Mapping[str, str]) -> str | None:
        """The base URL that follows from a credential's public fields; None where the form has no address of its own.

        Raises:
            ValueError: a field that stands in it is missing, or could lead elsewhere.
        """
        if self.base_url is None:
            return None
        template = self.base_url
        for name, exceptions in self.base_urls.items():
            template = exceptions.get(public.get(name, ""), template)
        return fill(template, public)

    def under(self, base_url: str, validation: Validation | None, token_url: str | None) -> Form:
        """The same form where every address of its vendor is found under a base URL, its host as a segment of the path.

        Args:
            validation: Instead of its own, where it has the row's.
            token_url: Instead of its own, moved.
        """

        def moved(url: str) -> str:
            return f"{base_url}/{url.removeprefix('https://')}"

        own = self.validation
        own = replace(own, path=moved(own.path)) if "://" in own.path else own
        return replace(
            self,
            base_url=self.base_url and moved(self.base_url),
            base_urls={
                name: {value: moved(url) for value, url in exceptions.items()}
                for name, exceptions in self.base_urls.items()
            },
            validation=validation or own,
            token_url=self.token_url and (token_url or moved(self.token_url)),
        )


def fill(template: str, public: Mapping[str, str]) -> str:
    """An address with fields in their places.

    Raises:
        ValueError: a field is missing, or is not of the characters that cannot change what the address means.
    """

    def value(place: re.Match[str]) -> str:
        text = public.get(place[1], "")
        if not _HARMLESS.fullmatch(text):
            raise ValueError(f"{place[1]} cannot stand in an address")
        return text

    return PLACE.sub(value, template)


def decode_forms(
    rows: Iterable[Mapping[str, Any]], fields: Mapping[str, Mapping[str, Any]], auth: Auth, validation: Validation
) -> tuple[Form, ...]:
    """The forms of a row, which lists the fields they share.

    Args:
        fields: Their facts by name. A form says which it has, and under which wire name.

    Raises:
        KeyError, TypeError, ValueError: a form names what is not there.
    """
    plain = {KEY: {"label": "API key", "secret": True}} | dict(fields)
    return tuple(_decode_form(row, plain, auth, validation) for row in rows or ({"id": KEY},))


def _decode_form(
    row: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]], auth: Auth, validation: Validation
) -> Form:
    wires = row.get("fields", {KEY: KEY})
    facts = {name: value for name, value in row.items() if name not in ("fields", "auth", "validation", "mask")}
    decoded = tuple(_decode_field(name, wire, fields[name]) for name, wire in wires.items())
    return Form(
        **{
            "label": "API key",
            **facts,
            "scheme": Scheme(row.get("scheme", Scheme.HEADER)),
            "fields": decoded,
            "auth": Auth(**row["auth"]) if "auth" in row else auth,
            "validation": decode_validation(row["validation"]) if "validation" in row else validation,
            "mask": tuple(row.get("mask", (KEY,))),
        }
    )


def _decode_field(name: str, wire: str, row: Mapping[str, Any]) -> Field:
    return Field(**{**row, "name": name, "wire": wire, "choices": tuple(row.get("choices", ()))})
