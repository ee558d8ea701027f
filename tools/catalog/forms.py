"""What may be wrong with a row's forms. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ownkey.catalog.calls import Validation
from ownkey.catalog.forms import KEY, PLACE, Field, Form, Scheme

_FORM_ID = re.compile(r"^[a-z]+(?:_[a-z]+)*$")
_HEADER = re.compile(r"^[A-Za-z0-9-]+$")
_HOSTILE = ("a/b", "a#b", "a?b", "a@b", "a:b", "a%2fb", "a\\b", "a b", "a\nb", "..", "a..b", "", "example.com", "a_b/")
"""None of these may stand in an address: each could make another of it."""

_NEEDED: Mapping[Scheme, tuple[frozenset[str], frozenset[str]]] = {
    Scheme.HEADER: (frozenset({KEY}), frozenset()),
    Scheme.SIGV4: (frozenset({"access_key_id", "secret_access_key"}), frozenset({"region"})),
    Scheme.GOOGLE_SERVICE_ACCOUNT: (frozenset({"private_key", "private_key_id"}), frozenset({"client_email"})),
    Scheme.OPENAI_WORKLOAD_IDENTITY: (
        frozenset(),
        frozenset({"identity_provider_id", "service_account_id", "audience"}),
    ),
    Scheme.ANTHROPIC_WORKLOAD_IDENTITY: (
        frozenset(),
        frozenset({"federation_rule_id", "organization_id", "audience"}),
    ),
    Scheme.AWS_ROLE: (frozenset(), frozenset({"role_arn", "region"})),
}
"""Scheme → the secret fields and the public ones that it reads."""
_OPTIONAL: Mapping[Scheme, frozenset[str]] = {Scheme.SIGV4: frozenset({"session_token"})}


def is_https(url: str) -> bool:
    """Whether it is plain https without a trailing slash or a place for a field."""
    parts = urlsplit(url)
    bare = "{" not in url and not url.endswith("/") and not parts.fragment
    return parts.scheme == "https" and bool(parts.hostname) and bare


def validation_problems(validation: Validation, example: Mapping[str, str]) -> Iterable[str]:
    """What is wrong with a validation call; `example` has a value for each field that may stand in its path."""
    path = example_of(validation.path, example)
    if "{" in path or not (path.startswith("/") or is_https(path)):
        yield "the validation path is neither a path nor an https URL"
    if not validation.accepted or not validation.rejected:
        yield "the validation needs accepted and rejected statuses"
    meanings = (validation.accepted, validation.limited, validation.rejected)
    if len(frozenset().union(*meanings)) != sum(map(len, meanings)):
        yield "a validation status has two meanings"
    if (validation.method, validation.body is None) not in (("GET", True), ("POST", False)):
        yield "the validation is a GET, or a POST with a body"
    for wording in validation.says:
        yield from pattern_problems("what the validation's answer says", wording.pattern)
    try:
        json.loads(validation.body or "{}")
    except ValueError as e:
        yield f"the validation body is not JSON: {e}"


def pattern_problems(of: str, pattern: str) -> Iterable[str]:
    """Whether a pattern is none."""
    try:
        re.compile(pattern)
    except re.error as e:
        yield f"{of} is no regular expression: {e}"


def form_problems(forms: Iterable[Form], fields: Iterable[str]) -> Iterable[str]:
    """What is wrong with a row's forms.

    Args:
        fields: The names that the row describes.
    """
    named = list(forms)
    yield from _repeated("form", (form.id for form in named))
    if unused := frozenset(fields) - {each.name for form in named for each in form.fields}:
        yield f"no form has these fields: {', '.join(sorted(unused))}"
    for form in named:
        yield from (f"form {form.id}: {problem}" for problem in _problems_of(form))


def example_of(template: str, example: Mapping[str, str]) -> str:
    """A template with examples in the places."""
    return PLACE.sub(lambda place: example.get(place[1], place[0]), template)


def _problems_of(form: Form) -> Iterable[str]:
    if not _FORM_ID.match(form.id):
        yield "the id is not lower-case words joined by underscores"
    yield from _repeated("field", (each.name for each in form.fields))
    yield from _repeated("member", (each.wire for each in form.fields))
    for each in form.fields:
        yield from (f"field {each.name}: {problem}" for problem in _field_problems(each))
    yield from _scheme_problems(form)
    if not any(_unreadable(each) for each in form.fields):
        yield from _address_problems(form)
    if unknown := frozenset(form.mask) - {each.name for each in form.fields}:
        yield f"the mask shows fields it has not: {', '.join(sorted(unknown))}"
    for header in (form.auth.header, *form.headers):
        if not _HEADER.match(header):
            yield f"{header!r} is no name of a header"
    yield from validation_problems(form.validation, _examples(form))


def _field_problems(each: Field) -> Iterable[str]:
    if unreadable := _unreadable(each):
        yield from unreadable
        return
    if not each.secret and each.pattern is None and not each.choices:
        yield "what is public needs a pattern or choices"
    if each.wire.count(".") > 1:
        yield "a member is at most in one object"
    for fact, value in (("default", each.default), ("example", each.example)):
        if value is not None and not each.fits(_host_of(value) if each.endpoint else value):
            yield f"its {fact} does not fit"
    if each.secret and (each.default is not None or each.choices or each.endpoint):
        yield "a secret has no default, choices or endpoint"


def _unreadable(each: Field) -> list[str]:
    return list(pattern_problems("the pattern", each.pattern or ""))


def _scheme_problems(form: Form) -> Iterable[str]:
    secret = frozenset(each.name for each in form.fields if each.secret)
    public = frozenset(each.name for each in form.fields if not each.secret)
    needs_secret, needs_public = _NEEDED[form.scheme]
    if not needs_secret <= secret <= needs_secret | _OPTIONAL.get(form.scheme, frozenset()):
        yield f"the scheme {form.scheme} has other secret fields"
    if not needs_public <= public:
        yield f"the scheme {form.scheme} needs {', '.join(sorted(needs_public - public))}"
    if form.scheme.signs != (form.service is not None):
        yield "a service is named where requests are signed, and only there"
    if form.scheme.signs and "?" in form.validation.path:
        yield "a signed validation has no query"
    if not form.scheme.signs and "{key}" not in form.auth.template:
        yield "the auth template has no place for the key"
    exchanges_at_vendor = form.scheme.exchanges and not form.scheme.signs
    if exchanges_at_vendor != (form.token_url is not None) or (form.token_url and not is_https(form.token_url)):
        yield "a token URL, plain https, is named where a token is exchanged at the vendor, and only there"


def _address_problems(form: Form) -> Iterable[str]:
    fields = {each.name: each for each in form.fields}
    exceptions = [url for urls in form.base_urls.values() for url in urls.values()]
    templates = [form.base_url or "", form.validation.path, *exceptions]
    for name in dict.fromkeys(name for template in templates for name in PLACE.findall(template)):
        if (each := fields.get(name)) is None or each.secret or not each.kept:
            yield f"{name} stands in an address, and is no public field"
        elif each.pattern is None and not each.choices:
            yield f"{name} stands in an address, and may be anything"
        elif any(each.fits(value) for value in _HOSTILE) or any(not _plain(value) for value in each.choices):
            yield f"{name} stands in an address, and could make another of it"
        elif not each.required and each.default is None:
            yield f"{name} stands in an address, and may be left out"
    for url in filter(None, (form.base_url, *exceptions)):
        if not is_https(example_of(url, _examples(form))):
            yield "the base URL is not plain https without a trailing slash"
    for name, values in form.base_urls.items():
        if name not in fields or not frozenset(values) <= frozenset(fields[name].choices):
            yield f"base_urls: {name} has no such choices"


def _examples(form: Form) -> dict[str, str]:
    return {
        each.name: _host_of(each.example) if each.endpoint else each.example
        for each in form.fields
        if each.example is not None
    }


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or url


def _plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9-]+", text) is not None


def _repeated(kind: str, names: Iterable[Any]) -> Iterable[str]:
    counted = Counter(names)
    if twice := sorted(name for name, count in counted.items() if count > 1):
        yield f"two of one name: {kind} {', '.join(twice)}"
