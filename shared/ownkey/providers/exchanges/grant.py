"""What a token is asked with, and what is got for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ownkey.domain.secrets import Secret

_HEADERS = {"accept": "application/json", "user-agent": "ownkey"}


@dataclass(frozen=True, slots=True)
class Grant:
    """Everything an exchange may draw on. Names are those of the form's fields."""

    token_url: str
    public: Mapping[str, str]
    secret: Mapping[str, Secret]
    identity: Secret | None
    """The function's own identity token, where the exchange is of that kind."""
    now_s: float


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One POST. The body proves who asks: send it once, to nowhere else."""

    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @staticmethod
    def of_json(url: str, members: Mapping[str, str], headers: Mapping[str, str] | None = None) -> TokenRequest:
        """A request whose parameters are a JSON object."""
        body = json.dumps(dict(members), separators=(",", ":")).encode()
        return TokenRequest(url, {**_HEADERS, "content-type": "application/json", **(headers or {})}, body)

    @staticmethod
    def of_form(url: str, encoded: str) -> TokenRequest:
        """A request whose parameters are a form, already encoded."""
        return TokenRequest(url, {**_HEADERS, "content-type": "application/x-www-form-urlencoded"}, encoded.encode())


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is presented from now on, and for how long."""

    token: Secret
    lifetime_s: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one vendor's token endpoint is asked."""

    vendor: str
    """For people."""
    encode: Callable[[Grant], TokenRequest]
    """Raises CredentialsExhausted where nothing can be asked with what there is."""
    audience: str | None = None
    """Whom the identity token is for, where the credential says nothing else. None: none is needed."""

    @property
    def proves_identity(self) -> bool:
        """Whether it is the function's own identity that is exchanged."""
        return self.audience is not None
