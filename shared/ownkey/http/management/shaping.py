"""A credential in the form in which it was given: its public fields, its destination, its mask, its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ownkey.catalog import FormInput, Provider, mask_of, read_form
from ownkey.catalog.forms import KEY
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import InvalidParameter
from ownkey.domain.secrets import Secret, mask
from ownkey.http.management.drafting import Pasted, at_destination
from ownkey.upstream import UrlPolicy


@dataclass(frozen=True, slots=True)
class Shaped:
    """The credential as the request wants it, and the secrets that it brought (none: those that are stored)."""

    credential: Credential
    secrets: Mapping[str, Secret] = field(repr=False)


class Shaper:
    """Reads what requests give of credentials.

    Args:
        keyless: Whether credentials without a secret may be saved in this deployment.
    """

    def __init__(self, url_policy: UrlPolicy, *, keyless: bool) -> None:
        self._url_policy = url_policy
        self._keyless = keyless

    def create(self, drafted: Credential, provider: Provider, pasted: Pasted) -> Shaped:
        """A new credential, whole.

        Raises:
            BadRequest: it cannot be a credential of this provider; nobody was asked.
        """
        return self._shaped(drafted, provider, pasted, read_form(provider, pasted.members))

    def change(self, current: Credential, provider: Provider, pasted: Pasted) -> Shaped:
        """A stored credential with what was given in its place.

        Raises:
            BadRequest: see `create`.
        """
        if not pasted.members and not pasted.provider_base_url:
            return Shaped(current, {})
        given = read_form(provider, pasted.members, current=(current.form, current.fields))
        return self._shaped(current, provider, pasted, given)

    def _shaped(self, credential: Credential, provider: Provider, pasted: Pasted, given: FormInput) -> Shaped:
        form = given.form
        if form.keyless and not self._keyless:
            raise InvalidParameter(
                "This deployment takes no credentials without a secret.",
                fix="Give a key, or ask the operator to set the stack's parameter KeylessCredentials.",
            )
        if form.keyless and given.base_url is not None:
            # Nothing is sealed for an address: a token of the function's own must not follow one that anybody sets.
            raise InvalidParameter("A credential without a secret takes no address of your own.", param="base_url")
        placed = self._placed(credential, provider, pasted, given)
        asked = given.secrets or form.keyless
        return Shaped(
            replace(
                placed,
                form=form.id,
                keyless=form.keyless,
                fields=given.public,
                mask=mask_of(form, given.public, given.secrets) if asked else credential.mask,
            ),
            given.secrets,
        )

    def _placed(self, credential: Credential, provider: Provider, pasted: Pasted, given: FormInput) -> Credential:
        """At the address that its fields make, else at the user's own, else at the provider's."""
        if given.destination is not None:
            destination = self._url_policy.check(given.destination)
            return replace(credential, destination=destination, custom_base_url=False)
        keeps = credential.custom_base_url and not pasted.provider_base_url and not given.form.keyless
        if given.base_url is None and keeps:
            return credential
        return at_destination(credential, provider, given.base_url, self._url_policy)


def shape_key(credential: Credential, key: Secret) -> Shaped:
    """The credential with a plain key."""
    plain = replace(credential, form=KEY, keyless=False, fields={}, mask=mask(key.reveal()))
    return Shaped(plain, {KEY: key})
