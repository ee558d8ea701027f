"""A candidate's credential as one attempt presents it: opened, exchanged where its form asks for that, in headers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ownkey.domain.secrets import Secret
from ownkey.providers import Encoded, authorize
from ownkey.router.candidates import Candidate
from ownkey.router.ports import Ports


class Presenting:
    """Belongs to one attempt."""

    def __init__(self, candidate: Candidate, ports: Ports) -> None:
        self._candidate = candidate
        self._ports = ports

    async def fields(self) -> Mapping[str, Secret]:
        """The secret's fields, after the exchange where the credential's form asks for one.

        Raises:
            CredentialUndecryptable: it cannot be opened. ProviderFailure: it cannot be exchanged.
        """
        candidate, credential, ports = self._candidate, self._candidate.credential, self._ports
        sealed = candidate.stored.sealed
        secret = {} if sealed is None else await ports.vault.open(credential.binding(), sealed)
        form, account_id = candidate.form, credential.account_id
        return await ports.tokens.present(
            candidate.provider, credential.id, credential.version, account_id, form, credential.fields, secret
        )

    def headers(self, encoded: Encoded, fields: Mapping[str, Secret], at: datetime) -> dict[str, str]:
        """The headers that authorise the request: the one place where a secret stands in a request."""
        return authorize(
            self._candidate.form,
            fields,
            method="POST",
            url=encoded.url,
            headers=encoded.headers,
            body=encoded.body,
            region=self._candidate.credential.fields.get("region"),
            now=at,
            auth=encoded.auth,
        )

    def forget(self) -> bool:
        """Drops what the credential was exchanged for, which the provider refused; False where nothing was."""
        if not self._candidate.form.scheme.exchanges:
            return False
        credential = self._candidate.credential
        self._ports.tokens.forget(credential.account_id, credential.id, credential.version)
        return True
