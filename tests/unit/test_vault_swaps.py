"""Every swap of what is stored, tried out in full: whatever is not exactly what was sealed is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.secrets import Secret
from ownkey.vault import Opener, Sealer
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms

NOW = "2026-11-21T08:00:00Z"
VALUES = {
    "account_id": ("acme", "globex"),
    "provider_id": ("openai", "anthropic"),
    "credential_id": ("cred_1", "cred_2"),
    "version": (1, 2),
    "destination": ("https://api.openai.com/v1", "https://attacker.example/v1"),
}
PARTS = ("wrapped_key", "kms_key_id", "nonce", "ciphertext", "commitment")
Record = Callable[[str, object], None]


class OfAnotherSchema(Binding):
    """An identity as a later sealing format would write it down."""

    __slots__ = ()

    def encryption_context(self) -> dict[str, str]:
        return super().encryption_context() | {"ownkey:schema": "2"}


def identities() -> list[Binding]:
    """All 64 that two values for each of the six parts make."""
    values = product(*VALUES.values())
    return [kind(*each) for each in values for kind in (Binding, OfAnotherSchema)]  # type: ignore[arg-type]


def neighbours(binding: Binding) -> Iterator[Binding]:
    """Those that differ in one part."""
    for name, values in VALUES.items():
        yield replace(binding, **{name: next(each for each in values if each != getattr(binding, name))})
    yield OfAnotherSchema(binding.account_id, binding.provider_id, binding.credential_id, 1, binding.destination)


def mixtures(one: SealedSecret, other: SealedSecret) -> Iterator[SealedSecret]:
    """The one secret with every choice of parts, but for none, taken from the other."""
    for size in range(1, len(PARTS) + 1):
        for names in combinations(PARTS, size):
            yield replace(one, **{name: getattr(other, name) for name in names})


async def seal(kms: FakeKms, binding: Binding, key: str, kms_key_id: str | None = None) -> SealedSecret:
    sealer = Sealer(kms, KMS_KEY)
    return await sealer.seal(binding, {"key": Secret(key)}, now=NOW, kms_key_id=kms_key_id)


def opener_of(kms: FakeKms) -> Opener:
    return Opener(kms, on_open=lambda _: None)


async def is_refused(opener: Opener, binding: Binding, sealed: SealedSecret) -> bool:
    try:
        await opener.open(binding, sealed)
    except CredentialUndecryptable:
        return True
    return False


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_a_ciphertext_opens_for_its_own_identity_and_no_other(warm: bool, record_property: Record) -> None:
    """Each of 64 identities with each other's secret, the version rewritten to fit; warm: all of them are cached."""
    kms = FakeKms()
    secrets = {binding: await seal(kms, binding, f"sk-{at}") for at, binding in enumerate(identities())}
    cached, refused = opener_of(kms), 0
    for at, (binding, sealed) in enumerate(secrets.items()):
        assert (await cached.open(binding, sealed))["key"].reveal() == f"sk-{at}"
    for binding in secrets:
        for owner, sealed in secrets.items():
            if owner != binding:
                fitted = replace(sealed, version=binding.version)
                refused += await is_refused(cached if warm else opener_of(kms), binding, fitted)
    assert refused == 64 * 63
    record_property("identity_swaps_refused", refused)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_no_mixture_of_two_secrets_opens(warm: bool, record_property: Record) -> None:
    """Wrapped key, KMS key, nonce, ciphertext and commitment, swapped alone and together."""
    kms = FakeKms()
    binding = identities()[0]
    own = await seal(kms, binding, "sk-own")
    others = {other: await seal(kms, other, "sk-other", OWN_KMS_KEY) for other in neighbours(binding)}
    twin = await seal(kms, binding, "sk-twin", OWN_KMS_KEY)
    cached = opener_of(kms)
    for identity, sealed in ((binding, own), (binding, twin), *others.items()):
        await cached.open(identity, sealed)
    # Taken whole, the twin's parts are the twin: sealed for this identity too.
    attempts = [mixed for mixed in mixtures(own, twin) if mixed != twin]
    attempts += [mixed for other in others.values() for mixed in mixtures(own, other)]
    assert len(attempts) == 30 + 6 * 31
    refused = [await is_refused(cached if warm else opener_of(kms), binding, mixed) for mixed in attempts]
    assert all(refused)
    assert (await cached.open(binding, own))["key"].reveal() == "sk-own"
    record_property("part_swaps_refused", len(refused))
