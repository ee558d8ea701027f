"""The vendors' prompt caches, as far as usage shows them.

Anthropic's is explicit: a breakpoint (`cache_control`) ends a prefix that is written the first time and read after.
OpenAI's is implicit: a prefix of whole messages sent before is read, in steps of 128 tokens. Neither caches less than
1,024 tokens. A cache belongs to one key and one model; entries do not expire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate

from local.simulator.brain import CacheUse, Segment

MIN_CACHED_TOKENS = 1_024
CACHE_STEP_TOKENS = 128
MAX_PREFIXES = 10_000


class PromptCache:
    """The prefixes seen so far."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def explicit(self, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        """The use of a cache with breakpoints: the longest prefix seen is read, those beyond it are written."""
        read = written = 0
        written_1h = 0
        for segment, (digest, tokens) in zip(segments, _prefixes(owner, segments), strict=True):
            if segment.ttl is None or tokens < MIN_CACHED_TOKENS:
                continue
            if digest in self._seen:
                read, written, written_1h = tokens, 0, 0
                continue
            self._remember(digest)
            more = tokens - read - written - written_1h
            written, written_1h = (written, written_1h + more) if segment.ttl == "1h" else (written + more, written_1h)
        return CacheUse(read, written, written_1h)

    def implicit(self, owner: str, segments: tuple[Segment, ...]) -> CacheUse:
        """The use of a cache without breakpoints; writing is free and not reported."""
        read = 0
        for digest, tokens in _prefixes(owner, segments):
            if tokens < MIN_CACHED_TOKENS:
                continue
            if digest in self._seen:
                read = tokens // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS
            self._remember(digest)
        return CacheUse(read)

    def _remember(self, digest: str) -> None:
        self._seen[digest] = None
        if len(self._seen) > MAX_PREFIXES:
            del self._seen[next(iter(self._seen))]


def _prefixes(owner: str, segments: tuple[Segment, ...]) -> Iterator[tuple[str, int]]:
    """For every segment, the digest of all up to and with it, and their length in tokens."""
    running = hashlib.sha256(owner.encode())
    for segment, tokens in zip(segments, accumulate(each.tokens for each in segments), strict=True):
        running.update(b"\0" + segment.content.encode())
        yield running.hexdigest(), tokens
