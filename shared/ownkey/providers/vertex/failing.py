"""What goes wrong at Vertex AI is told by Google, whosever model is asked."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.gemini.failures import decode_failure


class FailsAsGoogle:
    """A part of a `Translator` or `ProviderApi`: errors are Google's, or the maker's own."""

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""
        return decode_failure(status, headers, body)
