"""Reading a client's JSON strictly: what is not as it must be is refused, with its path as the error's `param`.

```
tool = Fields(values, "tools.0")
name = tool.needed_text("name")              # InvalidParameter, param="tools.0.name", unless it is text
```

Null is as good as absent, as the vendors' APIs have it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ownkey.domain.errors import InvalidParameter
from ownkey.providers.document import MAX_PARAM_CHARS

_MAX_PATH_CHARS = 4 * MAX_PARAM_CHARS


class Fields:
    """An object of the request, and where it stands."""

    __slots__ = ("path", "values")

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def at(self, name: str) -> str:
        """The path of a member."""
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, what: str) -> InvalidParameter:
        """The error for a member: raise it.

        Args:
            what: Half a sentence: "is not a text".
        """
        return wrong(self.at(name), what)

    def text(self, name: str) -> str | None:
        """A text, if there is one."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "is not a text")
        return value

    def needed_text(self, name: str) -> str:
        """A text that must be there; may be empty."""
        value = self.text(name)
        if value is None:
            raise self.wrong(name, "is missing")
        return value

    def word(self, name: str, words: Collection[str]) -> str | None:
        """One of these words, if there is one."""
        value = self.text(name)
        if value is not None and value not in words:
            raise self.wrong(name, f"is none of {', '.join(words)}")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false, if there."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return value

    def number(self, name: str) -> float | None:
        """A finite number, if there is one."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "is not a number")
        if isinstance(value, float) and not math.isfinite(value):  # 1e999
            raise self.wrong(name, "is too large")
        return value

    def integer(self, name: str, least: int | None = None) -> int | None:
        """A whole number, if there is one.

        Args:
            least: What it must not be below.
        """
        value = self.number(name)
        if value is None:
            return None
        if value != int(value):
            raise self.wrong(name, "is not a whole number")
        if least is not None and value < least:
            raise self.wrong(name, f"is below {least}")
        return int(value)

    def items(self, name: str) -> list[Any] | None:
        """A list, if there is one."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, list):
            raise self.wrong(name, "is not a list")
        return value

    def member(self, name: str) -> Fields | None:
        """An object, if there is one."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "is not an object")
        return Fields(value, self.at(name))

    def needed_member(self, name: str) -> Fields:
        """An object that must be there."""
        found = self.member(name)
        if found is None:
            raise self.wrong(name, "is missing")
        return found

    def members(self, name: str) -> Iterator[Fields]:
        """The objects of a list; none where there is no list."""
        for at, each in enumerate(self.items(name) or ()):
            if not isinstance(each, dict):
                raise wrong(f"{self.at(name)}.{at}", "is not an object")
            yield Fields(each, f"{self.at(name)}.{at}")

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a list, or the one text that stands in its place; empty where there is neither."""
        value = self.values.get(name)
        if isinstance(value, str):
            return (value,)
        for at, each in enumerate(self.items(name) or ()):
            if not isinstance(each, str):
                raise wrong(f"{self.at(name)}.{at}", "is not a text")
        return tuple(value or ())


def wrong(path: str, what: str) -> InvalidParameter:
    """The error for what stands at a path: raise it."""
    path = path[:_MAX_PATH_CHARS]
    return InvalidParameter(f"`{path}` {what}.", param=path)
