"""What a request gives of a credential → one of its provider's forms, its fields checked, secrets apart from the rest.

An error names the member that is wrong, never what it holds: anything may be a secret in the wrong place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ownkey.catalog.forms import Field, Form
from ownkey.catalog.providers import Provider
from ownkey.domain.errors import InvalidCredentialFormat, InvalidParameter
from ownkey.domain.gateway_keys import PREFIX, present
from ownkey.domain.secrets import Secret, mask

FORM_MEMBER = "form"
"""Names the form, where the other members could be of several."""
BASE_URL_MEMBER = "base_url"

Current = tuple[str, Mapping[str, str]]
"""A credential's form and public fields as they are."""

_QUOTES = "\"'`"
_MEMBER_NAME = re.compile(r"[a-z_]{1,64}")
_HOST_OF = re.compile(r"https://([^/?#\\]*)(.*)", re.DOTALL)
_MIN_HEAD_CHARS = 16


@dataclass(frozen=True, slots=True)
class FormInput:
    """A credential as its form has it."""

    form: Form
    public: dict[str, str]
    """May be shown and stored as they are."""
    secrets: dict[str, Secret] = field(repr=False)
    """To be sealed. Empty: the form has none, or only public fields of a stored credential were given."""
    destination: str | None
    """The vendor's address for these fields. None: the form has none, so `base_url`, else the provider's, else what
    the credential had."""
    base_url: str | None
    """An address of the user's own, not checked yet."""


def read_form(provider: Provider, members: Mapping[str, Any], *, current: Current | None = None) -> FormInput:
    """The form that the members make.

    Args:
        members: As JSON has them, secrets in the clear: texts, and objects of texts (or their JSON as a text). Null is
            absent, and takes an optional public field of `current` away.
        current: Of a stored credential: its public fields stand where members are absent, its form where several fit,
            and its secret need not be given.

    Raises:
        InvalidParameter, InvalidCredentialFormat: `param` is the member's wire name.
    """
    given = _Given(provider, members, current)
    form = given.form()
    given.refuse_strangers(form)
    if missing := given.missing(form):
        raise _missing(provider, missing[0])
    base_url, public, secrets = given.base_url(), dict[str, str](), dict[str, Secret]()
    for each in form.fields:
        value = given.value(form, each)
        if value is None:
            continue
        if each.secret:
            secrets[each.name] = read_secret(value, param=each.wire, pattern=each.pattern)
        elif not each.endpoint:
            text = _checked(each, value)
            public |= {each.name: text} if each.kept else {}
        elif host := _host(each, value.strip()):
            public[each.name] = host
        else:
            base_url = value.strip()
    return FormInput(form, public, secrets, _destination(form, public), base_url)


def wire_members(provider: Provider) -> frozenset[str]:
    """The names of all members that a provider's forms read."""
    named = {each.member for form in provider.forms for each in form.fields}
    return frozenset(named | {FORM_MEMBER, BASE_URL_MEMBER})


def mask_of(form: Form, public: Mapping[str, str], secrets: Mapping[str, Secret]) -> str:
    """What people see of a credential: `AKIA…WXYZ, us-east-1`."""
    fields = {each.name: each for each in form.fields}
    shown = (
        _masked(fields[name], secrets[name].reveal()) if name in secrets else public.get(name) for name in form.mask
    )
    return ", ".join(each for each in shown if each)


def read_secret(pasted: str, *, param: str, pattern: str | None = None) -> Secret:
    """A secret without the space that pasting brings along.

    Raises:
        InvalidCredentialFormat: it cannot be a provider's at all, and why; the secret is not in the message.
    """
    text = pasted.strip()
    if not text:
        raise InvalidCredentialFormat("The key is empty.", param=param)
    if text.startswith(PREFIX) or present(text) is not None:
        raise InvalidCredentialFormat(
            "This is an Ownkey gateway key, not a provider key.",
            fix="Paste the key that the provider's own console shows.",
            param=param,
        )
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        raise InvalidCredentialFormat("The key has quotes around it.", fix="Paste it without them.", param=param)
    if pattern is not None and not re.fullmatch(pattern, text):
        raise InvalidCredentialFormat("This does not look as it should; perhaps a part is missing.", param=param)
    if pattern is None and (not text.isascii() or not text.isprintable() or any(char.isspace() for char in text)):
        raise InvalidCredentialFormat("The key has space, line breaks or other characters no key has.", param=param)
    return Secret(text)


class _Given:
    """The members of one request."""

    def __init__(self, provider: Provider, members: Mapping[str, Any], current: Current | None) -> None:
        self._provider = provider
        self._nulls = frozenset(name for name, value in members.items() if value is None)
        self._members = {name: value for name, value in members.items() if value is not None}
        self._wanted = self._members.pop(FORM_MEMBER, None)
        self._current = current

    def form(self) -> Form:
        """The form that is named, or the one that the members fit."""
        if self._wanted is not None:
            return self._named()
        names = self._members.keys()
        fitting = [form for form in self._provider.forms if names <= {*_members_of(form)} and not self.missing(form)]
        own = [form for form in fitting if self._is_current(form)]
        if fitting:
            return (own or fitting)[0]
        # The nearest one: what is wrong can then be told as what it lacks, or does not take.
        return max(self._provider.forms, key=lambda form: (len(names & {*_members_of(form)}), -len(self.missing(form))))

    def refuse_strangers(self, form: Form) -> None:
        """Nothing is left out in silence: a typing error, or another form's member.

        Raises:
            InvalidParameter: see above.
        """
        known = _members_of(form)
        for name in (each for each in self._members if each not in known):
            why = "has no place beside the others" if name in wire_members(self._provider) else "is not known"
            shown = name if _MEMBER_NAME.fullmatch(name) else None
            raise InvalidParameter(
                f"A credential of {self._provider.display_name}: {shown or 'a member'} {why}.",
                fix=f"For {form.label} it takes {', '.join(known)}.",
                param=shown,
            )
        for name in {each.member for each in form.fields if each.member != each.wire} & self._members.keys():
            inner = {each.wire.partition(".")[2] for each in form.fields if each.member == name}
            if not form.further_members and self._object(name).keys() - inner:
                raise InvalidParameter(
                    f"{name} has members that are not known.", fix=f"It takes {', '.join(sorted(inner))}.", param=name
                )

    def missing(self, form: Form) -> list[Field]:
        """The fields that the form needs, and nobody gave."""
        stays = self._is_current(form)
        secret_stays = stays and not any(self._lookup(each) is not None for each in form.fields if each.secret)

        def excused(each: Field) -> bool:
            if each.endpoint:
                return stays  # perhaps an address of the user's own, which is no public field
            return secret_stays and (each.secret or not each.kept) and each.member not in self._members

        return [each for each in form.fields if each.required and self.value(form, each) is None and not excused(each)]

    def value(self, form: Form, each: Field) -> str | None:
        """A field's text: as given, as it was, or by default.

        Raises:
            InvalidParameter: it is no text.
        """
        value = self._lookup(each)
        if value is None:
            return self.current_value(form, each) or each.default
        if not isinstance(value, str):
            raise InvalidParameter(f"{each.wire} is not a text.", param=each.wire)
        return value

    def current_value(self, form: Form, each: Field) -> str | None:
        """The public field of the credential as it is, where the request leaves it so.

        An object is given whole: none of its members is taken from before.
        """
        if self._current is None or each.secret or each.member in self._nulls:
            return None
        if each.member != each.wire and (each.member in self._members or not self._is_current(form)):
            return None
        return self._current[1].get(each.name)

    def base_url(self) -> str | None:
        """The address of the user's own, if one is given.

        Raises:
            InvalidParameter: it is no text.
        """
        value = self._members.get(BASE_URL_MEMBER)
        if value is not None and not isinstance(value, str):
            raise InvalidParameter("base_url is not a text.", param=BASE_URL_MEMBER)
        return value

    def _named(self) -> Form:
        try:
            return self._provider.form(self._wanted)
        except (KeyError, TypeError):
            ids = ", ".join(form.id for form in self._provider.forms)
            raise InvalidParameter(
                f"{self._provider.display_name} has no such form.", fix=f"Use one of: {ids}.", param=FORM_MEMBER
            ) from None

    def _is_current(self, form: Form) -> bool:
        return self._current is not None and self._current[0] == form.id

    def _lookup(self, each: Field) -> Any:
        if each.member == each.wire:
            return self._members.get(each.wire)
        return self._object(each.member).get(each.wire.partition(".")[2]) if each.member in self._members else None

    def _object(self, name: str) -> Mapping[str, Any]:
        value = self._members[name]
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = None
        if not isinstance(value, Mapping):
            raise InvalidCredentialFormat(
                f"{name} is not a JSON object.", fix="Paste the whole of it, braces included.", param=name
            )
        return value


def _members_of(form: Form) -> dict[str, None]:
    """The members a form reads, in order.

    Without a secret nothing would bind a credential to an address of the user's own: a token is the vendor's alone.
    """
    own = dict.fromkeys(each.member for each in form.fields)
    return own if form.base_url or form.keyless else {**own, BASE_URL_MEMBER: None}


def _missing(provider: Provider, each: Field) -> InvalidParameter:
    fix = f"Send {each.wire}: {each.where}" if each.where else f"Send {each.wire}."
    return InvalidParameter(f"A credential of {provider.display_name} needs {each.wire}.", fix=fix, param=each.wire)


def _checked(each: Field, value: str) -> str:
    """A public field.

    Raises:
        InvalidParameter: it is not as it should be.
    """
    text = value.strip()
    if each.fits(text):
        return text
    looks = f"Use one of: {', '.join(each.choices)}." if each.choices else f"It looks like {each.example}."
    raise InvalidParameter(f"{each.wire} is not one that can be used.", fix=looks, param=each.wire)


def _host(each: Field, text: str) -> str | None:
    """The vendor's host that an endpoint names; None where it is an address of the user's own.

    Raises:
        InvalidParameter: a vendor's host, with more than a host.
    """
    if each.fits(text):
        return text
    match = _HOST_OF.fullmatch(text)
    host = match[1].lower() if match else ""
    if match is None or not each.fits(host):
        return None
    if not re.fullmatch(rf"(?:{each.tail})?/?", match[2]):
        raise InvalidParameter(
            f"{each.wire} has more than the endpoint.", fix=f"It looks like {each.example}.", param=each.wire
        )
    return host


def _destination(form: Form, public: Mapping[str, str]) -> str | None:
    """None also where the endpoint is an address of the user's own."""
    if any(each.endpoint and each.name not in public for each in form.fields):
        return None
    return form.destination(public)


def _masked(each: Field, secret: str) -> str:
    if each.shown_head and len(secret) >= _MIN_HEAD_CHARS:
        return f"{secret[: each.shown_head]}…{secret[-4:]}"
    return mask(secret)
