"""Bodies that were compressed though nobody asked for it: gzip and deflate, which every server has.

https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ownkey.upstream.failures import UpstreamBroken

_PIECE_BYTES = 1024 * 1024
"""At most at once: a kilobyte may be a megabyte compressed."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})


class Inflater:
    """Undoes one content coding.

    Raises:
        UpstreamBroken: it is not one that is known.
    """

    def __init__(self, coding: str) -> None:
        if coding.lower() not in _KNOWN:
            raise UpstreamBroken("the provider's answer is encoded in a way that was not asked for")
        self._bare_allowed = coding.lower() == "deflate"
        self._inflate: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the bytes are, in pieces of a megabyte at most.

        Raises:
            UpstreamBroken: they are not what they are said to be.
        """
        while data:
            if self._inflate is None or self._inflate.eof:
                if self._inflate is not None and (self._bare_allowed or not (data := data.lstrip(b"\0"))):
                    return  # nothing of it any more
                # `deflate` is zlib's format; some send what is inside of it. Of gzip one may follow the other.
                bare = self._bare_allowed and data[0] & 0x0F != zlib.DEFLATED
                self._inflate = zlib.decompressobj(_BARE if bare else _GZIP_OR_ZLIB)
            yield from self._inflated(self._inflate, data)
            data = self._inflate.unused_data

    @staticmethod
    def _inflated(inflate: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        piece = b"begun"
        while piece:
            try:
                piece = inflate.decompress(data, _PIECE_BYTES)
            except zlib.error:
                raise UpstreamBroken("the provider's answer is not encoded as it says") from None
            data = inflate.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> None:
        """That was all of it.

        Raises:
            UpstreamBroken: it was not.
        """
        if self._inflate is None or not self._inflate.eof:
            raise UpstreamBroken("the provider's answer stopped before its end")
