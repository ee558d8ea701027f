"""A provider's answer that a test plays: who has `chunks` is read like the transport's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable


class InPieces:
    """`UpstreamResponse`'s other ways of reading, made of its `chunks`."""

    _reading: AsyncIterator[bytes] | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The test's."""
        raise NotImplementedError

    async def next(self) -> bytes:
        """The next piece; empty at the end."""
        if self._reading is None:
            self._reading = self.chunks()
        return await anext(self._reading, b"")

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Each piece to `take`, until it says to stop."""
        while piece := await self.next():
            if not take(piece):
                return True
        return False
