"""Calls of tools in a stream of chunks: which call a fragment is of, whatever its provider tells of that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.providers.counts import member, string

_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Fragment:
    """A piece of a call, as a chunk has it."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: Any, id_: Any, name: Any, arguments: Any) -> None:
        self.index = index if isinstance(index, int) else None
        self.id = string(id_) or ""
        self.name = string(name) or ""
        text = _dumps(arguments) if isinstance(arguments, dict) else arguments
        self.arguments = text if isinstance(text, str) else ""

    @staticmethod
    def of(each: Mapping[str, Any]) -> Fragment:
        """Of one of a delta's `tool_calls`."""
        called = member(each, "function") or member(each, "custom")
        arguments = called.get("arguments", called.get("input"))
        return Fragment(each.get("index"), each.get("id"), called.get("name"), arguments)


def is_json(text: str) -> bool:
    """Whether a text is JSON, whole."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class OpenCall:
    """A call that is being told."""

    __slots__ = ("arguments", "as_text", "at", "ended", "id", "index", "name")

    def __init__(self, fragment: Fragment) -> None:
        self.index = fragment.index
        self.id = fragment.id
        self.name = fragment.name
        self.arguments = ""
        self.at: int | None = None
        """The part's place; None: its name is not known yet."""
        self.as_text = False
        self.ended = False

    @property
    def complete(self) -> bool:
        """Its arguments are whole, so that it is over once another begins."""
        return is_json(self.arguments)


class OpenCalls:
    """All calls of an answer."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[OpenCall] = []

    def __iter__(self) -> Iterator[OpenCall]:
        return iter(self._calls)

    def taking(self, fragment: Fragment, *, alone: bool) -> OpenCall:
        """The call that goes on with a fragment; a new one where none does.

        Args:
            alone: It is not one of several that came together without an index: those are a call each.
        """
        call = self._meant(fragment) if alone else None
        if call is None:
            call = OpenCall(fragment)
            self._calls.append(call)
        call.id, call.name = call.id or fragment.id, call.name or fragment.name
        return call

    def _meant(self, fragment: Fragment) -> OpenCall | None:
        id_, name = fragment.id, fragment.name
        if fragment.index is not None:
            found = next((call for call in reversed(self._calls) if call.index == fragment.index), None)
            # Some providers number all calls alike: another id with a name is another call.
            renamed = found is not None and id_ and found.id and id_ != found.id and name
            return None if renamed else found
        last = self._calls[-1] if self._calls else None
        if id_:
            known = next((call for call in self._calls if call.id == id_), None)
            return known if known or name else last
        if last is None or not name:
            return last
        # Neither index nor id: the same name again goes on, until the arguments are whole.
        return None if name != last.name or last.complete else last
