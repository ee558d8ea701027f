"""A provider as data: where it is, how a key is presented and checked, what it speaks.

Rows come from providers.toml; its head explains each field to whoever adds one. What a translator reads of a row:

```
provider.family                      # Dialect: what it speaks
provider.protocol_of(model_id)       # name of the protocol that these models want instead, or None
provider.parameters_of(model_id)     # Parameters: unsupported, renamed, roles, reasoning, usage
provider.responses                   # ResponsesSubset | None: what it has of OpenAI's Responses, if not all
provider.quirks                      # frozenset of names from QUIRKS
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from ownkey.catalog.calls import Auth, Validation, decode_validation
from ownkey.catalog.forms import Form, decode_forms, fill
from ownkey.catalog.naming import Naming, decode_naming
from ownkey.catalog.parameters import (
    AS_ITS_DIALECT,
    ModelParameters,
    Parameters,
    ResponsesSubset,
    decode_parameters,
    decode_patterns,
    decode_responses,
)
from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.domain.surfaces import Dialect, Surface

_NONE: Mapping[str, str] = {}


class Kind(StrEnum):
    """Whose models it serves. The order here is the order in which rows are preferred for a bare model id."""

    MAKER = "maker"
    """Its own."""
    HOST = "host"
    """Open models, or other makers' as their licensed host, on its own machines."""
    GATEWAY = "gateway"
    """Other providers' models, passed on."""
    CUSTOM = "custom"
    """Whatever the user's own base URL serves."""


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
class UpstreamOverride:
    """Where a provider is to be found instead: a simulated one, a proxy."""

    base_url: str
    validation_url: str | None = None
    """Of plain keys. None: the path of the provider's own validation call, under the new base URL's origin."""
    token_url: str | None = None
    """Where tokens are exchanged. None: under the new base URL, with the vendor's host as a segment of the path."""

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
        if unknown := value.keys() - {"base_url", "validation_url", "token_url"}:
            raise ValueError(f"unknown field of an upstream: {', '.join(sorted(unknown))}")
        if "base_url" not in value:
            raise ValueError("an upstream needs a base_url")
        return UpstreamOverride(value["base_url"].rstrip("/"), value.get("validation_url"), value.get("token_url"))


@dataclass(frozen=True, slots=True)
class ReportSource:
    """The provider's own report of what was used and charged."""

    api: str
    """Names the module in `providers.reports`."""
    forms: tuple[Form, ...]
    """How an admin credential can be given: nothing that serves requests."""
    final_after_hours: int
    """How long after a day's end its report may still change."""
    key_url: str
    """Where people get an admin credential."""
    source: str
    """Where the facts are from."""
    bill_by_key: bool = False
    """Whether the bill tells API keys apart."""
    usage_by_key: bool = True
    """Whether the report of usage does. Else only sums can be compared."""


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
    """Without a trailing slash. None: each credential brings its own, or the parts that its form makes one of."""
    auth: Auth
    headers: Mapping[str, str]
    """Sent with every request unless the client's request has its own value."""
    credential_headers: Mapping[str, str]
    """Further headers a credential may set: their name in our API (`organization`) to the header's."""
    key_hint: KeyHint
    key_url: str | None
    """Where people get a key."""
    validation: Validation
    forms: tuple[Form, ...]
    """How a credential can be given; never empty."""
    surfaces: frozenset[Surface]
    """What it serves natively. Empty: its credentials are kept and validated; nothing is sent to it."""
    quirks: frozenset[str]
    """Departures from its dialect, of `QUIRKS`; the translator reads them."""
    regions: Mapping[str, str]
    """Hosts of its own that serve in one region alone, with the uplift of `PriceList.uplifts` that is paid there. A `*`
    at the beginning stands for anything."""
    source: str
    """Where the facts of the row are from."""
    checked: date
    """When they were last checked."""
    report: ReportSource | None = None
    """None: it has none that is known here."""
    parameters: Parameters = AS_ITS_DIALECT
    """How all its models depart from the dialect; `parameters_of` has those of one."""
    model_parameters: ModelParameters = ()
    """Further departures of some models."""
    responses: ResponsesSubset | None = None
    """What it has of Responses, where `surfaces` have them. None: all, as OpenAI has them."""
    protocols: tuple[tuple[re.Pattern[str], str], ...] = ()
    """(what the whole id of a model matches, the protocol it wants instead of the family's); the first decides."""
    naming: Naming | None = None
    """How its ids come from the makers' names. None: they are those names, about."""

    def wire_of(self, model_id: str) -> str:
        """What is spoken to this model (`providers.selection`): the protocol it wants, else the family's."""
        return self.protocol_of(model_id) or self.family.value

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it goes by: id, display name, aliases."""
        return (self.id, self.display_name, *self.aliases)

    def protocol_of(self, model_id: str) -> str | None:
        """The protocol that the model wants; None: the family's."""
        return next((protocol for models, protocol in self.protocols if models.fullmatch(model_id)), None)

    def parameters_of(self, model_id: str) -> Parameters:
        """How requests for the model, and its answers, depart from the dialect."""
        parameters = self.parameters
        for models, narrower in self.model_parameters:
            if models.fullmatch(model_id):
                parameters = parameters.joined(narrower)
        return parameters

    def uplifts_at(self, base_url: str) -> tuple[str, ...]:
        """The uplifts that a request to this address brings, whatever its answer says."""
        host = (urlsplit(base_url).hostname or "").lower()
        return tuple(uplift for pattern, uplift in self.regions.items() if _is_host(host, pattern))

    def form(self, form_id: str) -> Form:
        """The form of this id.

        Raises:
            KeyError: there is none.
        """
        return {each.id: each for each in self.forms}[form_id]

    def for_reports(self) -> Provider:
        """The same provider as its admin credentials have it: their forms, and no others.

        Raises:
            ValueError: it has no report.
        """
        if self.report is None:
            raise ValueError(f"{self.id} has no report of usage")
        return replace(self, forms=self.report.forms, credential_headers={}, key_url=self.report.key_url)

    def address(self, form: Form, public: Mapping[str, str]) -> str | None:
        """The vendor's own base URL for a credential; None where it has none.

        Raises:
            ValueError: a public field of it is missing.
        """
        return form.destination(public) or self.base_url

    def validation_url(
        self, base_url: str | None = None, *, form: Form | None = None, public: Mapping[str, str] = _NONE
    ) -> str:
        """Where to validate a credential that belongs to `base_url` (None: to the address of its form or provider).

        A key for a base URL of the user's own is never sent to the provider's host: an absolute validation URL is
        then moved to the origin of that base URL.

        Args:
            form: None: the first.
            public: The credential's public fields.

        Raises:
            ValueError: no base URL, neither given nor in the row, or a field of the address is missing.
            UnsafeBaseUrl: the credential belongs to another address than its public fields say.
        """
        form = form or self.forms[0]
        path = fill(form.validation.path, public)
        if base_url and "://" not in path:
            return base_url.rstrip("/") + path
        own = self.address(form, public)
        base = (base_url or own or "").rstrip("/")
        if not base:
            raise ValueError(f"{self.id} has no base URL of its own: the credential must bring one")
        if "://" not in path:
            return base + path
        if base != own and form.base_url:
            raise UnsafeBaseUrl("The credential's fields do not belong to the address that its secret was sealed for.")
        return path if base == own else _moved(path, base)

    def at(self, override: UpstreamOverride) -> Provider:
        """The same provider, found elsewhere."""
        path = override.validation_url or self.validation.path
        if override.validation_url is None and "://" in path:
            path = _moved(path, override.base_url)
        validation = replace(self.validation, path=path)

        def moved(form: Form) -> Form:
            shares = form.base_url is None and form.validation == self.validation
            return form.under(override.base_url, validation if shares else None, override.token_url)

        addressed = all(form.base_url for form in self.forms)
        return replace(
            self,
            base_url=None if addressed else override.base_url,
            validation=validation,
            forms=tuple(map(moved, self.forms)),
            report=self.report and replace(self.report, forms=_all_under(self.report.forms, override)),
        )


QUIRKS: Mapping[str, str] = {
    "always_searches": "Every request is a web search, asked for or not: its fee is held.",
    "no_stream_options": "Refuses `stream_options`; its streams carry usage without being asked.",
}
"""The departures from a dialect that rows may name, and what each means."""
ROLES_OF_COMPATIBLES: Mapping[str, str] = {"developer": "system"}
"""Of a row of OpenAI's dialect that says nothing of roles: nearly all refuse this one, by a list of their own or by the
template of an open model, and those who take it take the other for the same."""


def decode_provider(row: Mapping[str, Any]) -> Provider:
    """The provider of a row of providers.json (or of providers.toml: the two have one shape).

    Raises:
        KeyError, TypeError, ValueError: the row lacks a field or has one that is not known.
    """
    own = {name: value for name, value in row.items() if name not in ("price_source", "fields")}
    auth, validation = Auth(**row["auth"]), decode_validation(row["validation"])
    departures, family = row.get("parameters", {}), Dialect(row["family"])
    if family is Dialect.OPENAI:
        departures = {"roles": ROLES_OF_COMPATIBLES, **departures}
    parameters, model_parameters = decode_parameters(departures)
    return Provider(
        **{
            "base_url": None,
            "headers": {},
            "credential_headers": {},
            "key_url": None,
            "regions": {},
            **own,
            "aliases": tuple(row.get("aliases", ())),
            "kind": Kind(row["kind"]),
            "family": family,
            "auth": auth,
            "key_hint": _decode_key_hint(row.get("key_hint", {})),
            "validation": validation,
            "forms": decode_forms(row.get("forms", ()), row.get("fields", {}), auth, validation),
            "surfaces": frozenset(map(Surface, row["surfaces"])),
            "quirks": frozenset(row.get("quirks", ())),
            "checked": date.fromisoformat(str(row["checked"])),
            "report": _decode_report(row["report"], row.get("fields", {}), auth) if "report" in row else None,
            "parameters": parameters,
            "model_parameters": model_parameters,
            "responses": decode_responses(row["responses"]) if "responses" in row else None,
            "protocols": decode_patterns(row.get("protocols", ()), "protocol"),
            "naming": decode_naming(row["naming"]) if "naming" in row else None,
        }
    )


def _all_under(forms: tuple[Form, ...], override: UpstreamOverride) -> tuple[Form, ...]:
    return tuple(form.under(override.base_url, None, override.token_url) for form in forms)


def _decode_report(row: Mapping[str, Any], fields: Mapping[str, Any], auth: Auth) -> ReportSource:
    """The `report` of a row. Its forms may use the row's fields, and their own.

    Raises:
        KeyError, TypeError, ValueError: it lacks a field or has one that is not known.
    """
    facts = {name: value for name, value in row.items() if name not in ("fields", "validation")}
    forms = decode_forms(row["forms"], {**fields, **row.get("fields", {})}, auth, decode_validation(row["validation"]))
    return ReportSource(**{**facts, "forms": forms})


def _decode_key_hint(row: Mapping[str, Any]) -> KeyHint:
    return KeyHint(**{**row, "prefixes": tuple(row.get("prefixes", ()))})


def _is_host(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern


def _moved(url: str, base_url: str) -> str:
    """`url` with the origin of `base_url`."""
    there, here = urlsplit(base_url), urlsplit(url)
    return here._replace(scheme=there.scheme, netloc=there.netloc).geturl()
