"""Thoughts at the head of a text, between `<think>` and `</think>`: as open models say them by themselves."""

from __future__ import annotations

_OPENING, _CLOSING = "<think>", "</think>"


class ThinkTags:
    """Tells thoughts from text, however the text is cut. What may yet be a tag is held back."""

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._held = ""
        self._state = "head"

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """(whether it is thought, a piece that is not empty), in order."""
        if self._state == "text":
            return [(False, text)]
        self._held += text
        pieces: list[tuple[bool, str]] = []
        if self._state == "head":
            self._open(pieces)
        if self._state == "thought":
            self._close(pieces)
        if self._state == "after":
            self._go_on(pieces)
        return pieces

    def rest(self) -> list[tuple[bool, str]]:
        """At the end, or before something else comes: what was held back."""
        held, self._held = self._held, ""
        thought = self._state == "thought"
        self._state = self._state if thought else "text"
        return [(thought, held)] if held and self._state != "after" else []

    def _open(self, pieces: list[tuple[bool, str]]) -> None:
        started = self._held.lstrip()
        if started.startswith(_OPENING):
            self._state, self._held = "thought", started[len(_OPENING) :]
        elif not _OPENING.startswith(started):
            self._state = "text"
            pieces.append((False, self._held))
            self._held = ""

    def _close(self, pieces: list[tuple[bool, str]]) -> None:
        thought, closed, after = self._held.partition(_CLOSING)
        if not closed:
            kept = _shared(thought)
            thought, self._held = thought[: len(thought) - kept], thought[len(thought) - kept :]
        else:
            self._state, self._held = "after", after
        if thought:
            pieces.append((True, thought))

    def _go_on(self, pieces: list[tuple[bool, str]]) -> None:
        """White space between the closing tag and the answer is neither's."""
        text = self._held.lstrip()
        self._held = ""
        if text:
            self._state = "text"
            pieces.append((False, text))


def _shared(text: str) -> int:
    """How many characters at its end may be the beginning of the closing tag."""
    sizes = range(min(len(text), len(_CLOSING) - 1), 0, -1)
    return next((size for size in sizes if _CLOSING.startswith(text[-size:])), 0)
