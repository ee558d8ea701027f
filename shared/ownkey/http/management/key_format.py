"""What can be said of a plain key that its provider took: formats change without notice, so it is never a verdict."""

from __future__ import annotations

from ownkey.catalog import Provider
from ownkey.domain.secrets import Secret


def unusual(provider: Provider, key: Secret) -> list[str]:
    """A warning where the key does not look like the provider's: perhaps it was pasted in the wrong place."""
    if provider.key_hint.fits(key.reveal()):
        return []
    prefixes = " or ".join(f"`{prefix}…`" for prefix in provider.key_hint.prefixes)
    looks = f" usually begin with {prefixes}" if prefixes else " usually look different"
    return [f"{provider.display_name} keys{looks}. The provider accepted this one, so it was saved."]
