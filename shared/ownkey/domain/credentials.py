"""A provider key (or structured secret) held in the vault.

The public part (`Credential`) is what lists and routing see. Each version of the secret is a `SealedSecret`, an item
of its own, readable only together with the identity it was sealed for (`Binding`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ownkey.domain.pricing import CredentialPricing

SEAL_SCHEMA = "1"
"""Version of the sealing format: part of the binding, so that a later format cannot be taken for this one."""


class CredentialSource(StrEnum):
    """Whose credential serves: decides who pays."""

    BYOK = "byok"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Binding:
    """The identity a ciphertext is sealed for: KMS encryption context and AES-GCM associated data alike.

    A ciphertext moved to another account, provider, credential, version or destination cannot be opened.
    """

    account_id: str
    provider_id: str
    credential_id: str
    version: int
    destination: str
    """The base URL the key may be sent to. Changing it asks for the secret again."""

    def encryption_context(self) -> dict[str, str]:
        """The KMS encryption context; CloudTrail shows it at each unwrap."""
        return {
            "ownkey:account": self.account_id,
            "ownkey:provider": self.provider_id,
            "ownkey:credential": self.credential_id,
            "ownkey:version": str(self.version),
            "ownkey:destination": self.destination,
            "ownkey:schema": SEAL_SCHEMA,
        }

    def associated_data(self) -> bytes:
        """The same tuple, each part prefixed with its length (4 bytes, big-endian): no two tuples share bytes."""
        parts = [value.encode() for value in self.encryption_context().values()]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class PoolStrategy(StrEnum):
    """In which order one provider's credentials are used, where nothing else decides (docs/contracts/routing.md)."""

    FALLBACK = "fallback"
    """The oldest first; the others only where it fails."""
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    """In turns, by weight."""
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """One version of a credential's secret, encrypted. All bytes; nothing here is secret without KMS.

    `ciphertext` holds AES-256-GCM over canonical JSON of the secret's fields (`{"key": "sk-…"}` for a plain key).
    """

    version: int
    wrapped_key: bytes
    """The data key, wrapped by KMS under `kms_key_id` and the binding's encryption context. Empty: shredded."""
    kms_key_id: str
    nonce: bytes
    """96 random bits."""
    ciphertext: bytes
    commitment: bytes
    """HKDF output that commits to the data key (GCM alone does not)."""
    created_at: str


@dataclass(frozen=True, slots=True)
class PreviousVersion:
    """The version before the current one, kept through a dual-key rotation until it is retired."""

    version: int
    mask: str
    created_at: str
    share_percent: int = 0
    """Of the credential's requests, how many still go out on it first. At 0 it serves where the new one fails."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The public part of a credential. Everything here may be shown to the account's members."""

    id: str
    account_id: str
    provider_id: str
    alias: str
    mask: str
    version: int
    """Of the secret: rises at each rotation. Health and the last use are bound to it."""
    destination: str
    """Canonical base URL that the key may be sent to."""
    created_at: str
    updated_at: str
    validated_at: str | None = None
    priority: int = 0
    """Lower is tried first."""
    weight: int = 1
    custom_base_url: bool = False
    """True where the user gave the base URL; False where it is the provider's own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers by their name in the catalog (`organization`, `project`); never secrets."""
    allowed_models: tuple[str, ...] | None = None
    """None: all models. Never empty."""
    gateway_keys: tuple[str, ...] | None = None
    """Ids of the gateway keys that may use it. None: account-wide. Never empty."""
    disabled: bool = False
    always_use: bool = False
    """Never fall back to a platform credential for this provider."""
    form: str = "key"
    """Of the provider's forms in the catalog, the one it was given in."""
    keyless: bool = False
    """True: it stores no secret; the function's own identity is exchanged for a short-lived token."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Public parts of a structured secret (region, deployment, project id), by the form's names."""
    previous: PreviousVersion | None = None
    expires_at: str | None = None
    """When the provider's key ends, as its owner noted it: for reminders. The provider decides."""
    secret_created_at: str | None = None
    """Of the current version; None: as old as the credential."""
    pricing: CredentialPricing | None = None
    """What its provider bills for it, where that is not the published price."""
    shared_version: int | None = None
    """The version that its owner lets serve others (`domain.sharing`). A rotation leaves it behind. None: never any."""

    @property
    def shared(self) -> bool:
        """Whether its owner lets it serve others, as far as everything else allows."""
        return self.shared_version == self.version

    @property
    def deployment(self) -> str | None:
        """The one deployment that it is for (`router.deployments`); None: all models of its provider."""
        return self.fields.get("deployment")

    def binding(self) -> Binding:
        """What the current version is sealed for."""
        return Binding(self.account_id, self.provider_id, self.id, self.version, self.destination)

    def versions(self) -> tuple[int, ...]:
        """Every version that has a secret, the current one first."""
        return (self.version,) if self.previous is None else (self.version, self.previous.version)

    def as_previous(self) -> Credential:
        """The credential as its previous version knew it: what that version's secret is bound to.

        Raises:
            ValueError: there is no previous version.
        """
        if self.previous is None:
            raise ValueError(f"{self.id} has no previous version")
        return replace(self, version=self.previous.version, mask=self.previous.mask)

    def serves_key(self, gateway_key_id: str) -> bool:
        """Whether requests of this gateway key may use the credential."""
        return self.gateway_keys is None or gateway_key_id in self.gateway_keys

    def serves_model(self, model_id: str) -> bool:
        """Whether the credential may be used for the provider's model."""
        return self.allowed_models is None or model_id in self.allowed_models


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential with the sealed secret of one of its versions: one element of an account's snapshot."""

    credential: Credential
    """Its `version` is the secret's: of a previous one, as `Credential.as_previous` has it."""
    sealed: SealedSecret | None
    """None: keyless, there is no secret to store."""

    @property
    def is_previous(self) -> bool:
        """Whether it is the version before the current one, kept through a dual-key rotation."""
        previous = self.credential.previous
        return previous is not None and previous.version == self.credential.version
