"""Tokens in hand: each until it ends, renewed before that beside a request, with one exchange at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ownkey.domain.errors import OwnkeyError
from ownkey.domain.secrets import Secret

HELD_TOKENS = 512
MARGIN_S = 30.0
"""A token is not presented any more this long before it ends: the request has to get there, and clocks differ."""
_RENEW_AHEAD_S = 300.0
_RENEW_AGAIN_S = 5.0
"""After a renewal that failed, while the old token still serves."""
_STUCK_S = 20.0
"""An exchange under way for longer was frozen with its function: its connection is dead, and nobody waits for it."""

Fields = Mapping[str, Secret]
Mint = Callable[[], Awaitable["Minted"]]
_log = logging.getLogger(__name__)


class TokenKey(NamedTuple):
    """Whose a token is."""

    account_id: str
    credential_id: str
    version: int
    digest: bytes
    """Of everything that decides about it."""


@dataclass(frozen=True, slots=True)
class Minted:
    """What an exchange brought, and for how long."""

    fields: Fields
    lifetime_s: float


@dataclass(slots=True)
class _Held:
    fields: Fields = field(repr=False)
    renew_at_s: float
    ends_at_s: float


class HeldTokens:
    """At most `HELD_TOKENS`, the least lately used go first. Belongs to one event loop.

    Times are the wall clock's: while a function is frozen its monotonic clock may stand, and tokens end all the same.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: OrderedDict[TokenKey, _Held] = OrderedDict()
        self._minting: dict[TokenKey, tuple[asyncio.Task[Fields], float]] = {}
        self._tasks: set[asyncio.Task[Fields]] = set()

    async def get(self, key: TokenKey, mint: Mint, *, fresh: bool) -> Fields:
        """The token in hand; a new one where there is none, or with `fresh`. Raises what `mint` raises."""
        held = None if fresh else self._held.get(key)
        now_s = self._clock()
        if held is None or now_s >= held.ends_at_s:
            # Whoever of those that wait gives up, the exchange goes on for the others.
            return await asyncio.shield(self._mint_once(key, mint))
        self._held.move_to_end(key)
        if now_s >= held.renew_at_s:
            held.renew_at_s = now_s + _RENEW_AGAIN_S
            self._mint_once(key, mint)
        return held.fields

    def forget(self, account_id: str, credential_id: str, version: int) -> None:
        """Drops the tokens of one version of a credential."""
        for key in [key for key in self._held if key[:3] == (account_id, credential_id, version)]:
            del self._held[key]

    def _mint_once(self, key: TokenKey, mint: Mint) -> asyncio.Task[Fields]:
        task, since_s = self._minting.get(key, (None, 0.0))
        now_s = self._clock()
        if task is None or now_s - since_s > _STUCK_S:
            task = asyncio.create_task(self._mint(key, mint))
            self._minting[key] = task, now_s
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._minted(key, done))
        return task

    async def _mint(self, key: TokenKey, mint: Mint) -> Fields:
        asked_at_s = self._clock()  # before the exchange: a token is never thought to live longer than it does
        minted = await mint()
        ahead_s = min(_RENEW_AHEAD_S, minted.lifetime_s / 2)
        ends_at_s = asked_at_s + minted.lifetime_s
        self._held[key] = _Held(minted.fields, ends_at_s - ahead_s, ends_at_s - min(MARGIN_S, minted.lifetime_s / 2))
        self._held.move_to_end(key)
        while len(self._held) > HELD_TOKENS:
            self._held.popitem(last=False)
        return minted.fields

    def _minted(self, key: TokenKey, task: asyncio.Task[Fields]) -> None:
        self._tasks.discard(task)
        if self._minting.get(key, (None,))[0] is task:
            del self._minting[key]
        error = None if task.cancelled() else task.exception()
        if error is not None and key in self._held:
            # Nobody waits for a renewal: the token in hand serves on.
            code = error.code if isinstance(error, OwnkeyError) else type(error).__name__
            _log.warning("a token could not be renewed", extra={"error_code": code})
