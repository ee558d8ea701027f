"""What can be said of a pasted provider key before anybody is asked. Never a verdict: formats change without notice."""

from __future__ import annotations

from ownkey.catalog import Provider
from ownkey.domain.errors import InvalidCredentialFormat
from ownkey.domain.gateway_keys import PREFIX, present
from ownkey.domain.secrets import Secret

_QUOTES = "\"'`"


def read_key(pasted: str, *, param: str) -> Secret:
    """The key without the space that pasting brings along.

    Raises:
        InvalidCredentialFormat: it cannot be a provider key at all, and why; the key is not in the message.
    """
    key = pasted.strip()
    if not key:
        raise InvalidCredentialFormat("The key is empty.", param=param)
    if key.startswith(PREFIX) or present(key) is not None:
        raise InvalidCredentialFormat(
            "This is an Ownkey gateway key, not a provider key.",
            fix="Paste the key that the provider's own console shows.",
            param=param,
        )
    if not key.isascii() or not key.isprintable() or any(char.isspace() for char in key):
        raise InvalidCredentialFormat("The key has space, line breaks or other characters no key has.", param=param)
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise InvalidCredentialFormat("The key has quotes around it.", fix="Paste it without them.", param=param)
    return Secret(key)


def unusual(provider: Provider, key: Secret) -> list[str]:
    """A warning where the key does not look like the provider's: perhaps it was pasted in the wrong place."""
    if provider.key_hint.fits(key.reveal()):
        return []
    prefixes = " or ".join(f"`{prefix}…`" for prefix in provider.key_hint.prefixes)
    looks = f" usually begin with {prefixes}" if prefixes else " usually look different"
    return [f"{provider.display_name} keys{looks}. The provider accepted this one, so it was saved."]
