"""Server-sent events in bytes: whole events out of pieces cut anywhere.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re

from ownkey.domain.errors import ProviderInvalidResponse

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""An event may carry a whole picture, one of 3840 × 2160 some 20 MB in base64; a provider that never ends one must not
fill the memory. As much as an answer in one piece."""

_BOM = b"\xef\xbb\xbf"
_more_blank_lines = re.compile(rb"\n{3,}").sub


class EventSplitter:
    """Gives back whole events only. Line ends become `\\n` (JSON has none inside), and an event ends with `\\n\\n`."""

    __slots__ = ("_at_start", "_held_cr", "_rest", "_rest_bytes")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """Pieces of an event, put together once it is whole: it would take seconds to do so with each that comes."""
        self._rest_bytes = 0
        self._held_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> bytes:
        """The events that are complete by now, in one piece; empty while none is.

        Raises:
            ProviderInvalidResponse: an event grew beyond `MAX_EVENT_BYTES`.
        """
        if self._held_cr or b"\r" in data:
            data = self._with_plain_line_ends(data)
        end = data.rfind(b"\n\n") + 2
        # The blank line may stand half in the piece before: 1 is then the end, as it happens.
        if end == 1 and not (data.startswith(b"\n") and self._rest and self._rest[-1].endswith(b"\n")):
            self._keep(data)
            return b""
        if self._rest:
            end += self._rest_bytes
            data = b"".join((*self._rest, data))
            self._rest, self._rest_bytes = [], 0
        events = data
        if end < len(data):
            self._keep(data[end:])
            events = data[:end]
        if self._at_start:
            self._at_start = False
            events = events.removeprefix(_BOM)
        if events.startswith(b"\n") or b"\n\n\n" in events:
            events = _more_blank_lines(b"\n\n", events.lstrip(b"\n"))
        return events

    def rest(self) -> bytes:
        """At the end of the stream: an event that its blank line is missing of, made whole; empty where there is none.

        The standard discards it; providers are known to end with `data: [DONE]` and one line end.
        """
        rest, self._rest, self._held_cr = b"".join(self._rest).strip(b"\n"), [], False
        return rest + b"\n\n" if rest else b""

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._rest.append(piece)
            self._rest_bytes += len(piece)
        if self._rest_bytes > MAX_EVENT_BYTES:
            raise ProviderInvalidResponse("The provider sent an event larger than this gateway takes.")

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        if self._held_cr:
            data = b"\r" + data
        self._held_cr = data.endswith(b"\r")  # may be the first half of a line end
        if self._held_cr:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(event: bytes) -> bytes | None:
    """The event's data, its lines joined; None for a comment or an event without data."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines:
        return None
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def with_data(event: bytes, data: bytes) -> bytes:
    """The event with other data, its other fields kept."""
    others = [line for line in event.split(b"\n") if line and not line.startswith(b"data:")]
    return b"\n".join([*others, b"data: " + data.replace(b"\n", b"\ndata: ")])
