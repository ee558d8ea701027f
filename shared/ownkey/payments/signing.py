"""The secrets that a payment provider signs with: one, or two through a rotation, in one secret of Secrets Manager."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol

from ownkey.domain.secrets import Secret

_PATTERN = re.compile(r"whsec_[A-Za-z0-9+/=_-]{16,200}")
_AT_MOST = 4
_AGAIN_AFTER_S = 60.0


class SigningSecretError(Exception):
    """The secret cannot be used. Says why, never what it is."""


class Store(Protocol):
    """`ownkey.store.secrets.Secrets`."""

    async def read(self, arn: str) -> Secret:
        """The text. Raises StoreUnavailable."""


class SigningSecrets:
    """Read once when the function starts, and again, at most once a minute, where a signature fits none of them."""

    def __init__(self, store: Store, arn: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._arn = arn
        self._clock = clock
        self._read_at_s = 0.0
        self.known: tuple[Secret, ...] = ()

    async def load(self) -> None:
        """Reads them.

        Raises:
            SigningSecretError: there is none, or what stands there is none.
            StoreUnavailable: it cannot be read.
        """
        self._read_at_s = self._clock()
        self.known = parse(await self._store.read(self._arn))

    async def renewed(self) -> bool:
        """Whether they are others than before, by now. Forged requests do not make it ask more often.

        Raises:
            As `load`; those that were known stay.
        """
        if self._clock() - self._read_at_s < _AGAIN_AFTER_S:
            return False
        before = self.known
        await self.load()
        return self.known != before


def parse(text: Secret) -> tuple[Secret, ...]:
    """The signing secrets in a text, separated by space, line or comma.

    Raises:
        SigningSecretError: none, too many, or something else.
    """
    words = text.reveal().replace(",", " ").split()
    if not words:
        raise SigningSecretError("The secret that StripeWebhookSecretArn names is empty: any signature would do.")
    if len(words) > _AT_MOST or not all(_PATTERN.fullmatch(word) for word in words):
        raise SigningSecretError(
            f"The secret that StripeWebhookSecretArn names is not one to {_AT_MOST} signing secrets (whsec_…)."
        )
    return tuple(Secret(word) for word in words)
