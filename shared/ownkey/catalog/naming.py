"""How a host's ids of other makers' models come from the makers' names: `anthropic/claude-haiku-4.5` is
`eu.anthropic.claude-haiku-4-5-20251001-v1:0` on Bedrock, for a credential of a European region. Pure.

The row says it: `ids` takes an id apart, `places` say which of a model's ids is for which credentials. Names are
compared without their punctuation; what stands before a name's `/` has to be the maker, where the id tells one
(`meta-llama` and `meta` are the same). A name without a date means the newest snapshot, one with a date that or, where
ids have no dates, the only one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_PUNCTUATION = re.compile(r"[-._]")
_DATE = re.compile(r"(?P<name>.+?)(?:[-@](?P<date>\d{8}))?")
_NOWHERE = ""


def plain_name(name: str) -> str:
    """A model's name as people write it: without its punctuation, in lower case."""
    return _PUNCTUATION.sub("", name).casefold()


@dataclass(frozen=True, slots=True)
class Naming:
    """The rule of one provider's row."""

    ids: re.Pattern[str]
    """A whole id. Groups: `name`; where ids have them, `place`, `maker`, `date` (eight digits) and `version`."""
    by: str = ""
    """The credential's public field that decides between places."""
    places: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = ()
    """(what the whole field matches, the places wanted, best first); the first that fits decides. An id of no place is
    the last choice, and of other places none."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Other names of models: plain → the plain name that ids have."""

    def places_of(self, fields: Mapping[str, str]) -> tuple[str, ...]:
        """The places for a credential with these public fields, best first."""
        value = fields.get(self.by, "")
        wanted = next((places for pattern, places in self.places if pattern.fullmatch(value)), ())
        return (*wanted, _NOWHERE)


@dataclass(frozen=True, slots=True)
class _Id:
    id: str
    place: str
    maker: str
    date: str


class Names:
    """The ids of one provider, to be found by their makers' names."""

    __slots__ = ("_ids", "_naming")

    def __init__(self, naming: Naming, ids: Iterable[str]) -> None:
        self._naming = naming
        self._ids: dict[str, list[_Id]] = {}
        for each in ids:
            if match := naming.ids.fullmatch(each):
                parts = {group: text or "" for group, text in match.groupdict().items()}
                maker, name = parts.get("maker", ""), parts["name"]
                entry = _Id(each, parts.get("place", _NOWHERE), plain_name(maker), parts.get("date", ""))
                for known_as in {name, maker + name, name + parts.get("version", "")}:
                    self._ids.setdefault(plain_name(known_as), []).append(entry)

    def id_of(self, vendor: str, name: str, fields: Mapping[str, str]) -> str | None:
        """The id for a credential with these public fields; None: it has no such model, or not in such a place.

        Args:
            vendor: Who is said to have made it. Empty: nobody is.
        """
        match = _DATE.fullmatch(name)
        if match is None:
            return None
        asked = plain_name(match["name"])
        found = self._ids.get(self._naming.also.get(asked, asked), [])
        found = [each for each in found if _is_maker(plain_name(vendor), each.maker)]
        date = match["date"] or max((each.date for each in found), default="")
        if any(each.date for each in found):
            found = [each for each in found if each.date == date]
        for place in self._naming.places_of(fields):
            if there := [each.id for each in found if each.place == place]:
                return max(there, key=lambda each: (-len(each), each))
        return None


def decode_naming(row: Mapping[str, Any]) -> Naming:
    """The `naming` of a row of providers.json.

    Raises:
        KeyError, TypeError, ValueError: it lacks a field or has one that is not known, or a pattern is none.
    """
    try:
        ids = re.compile(row["ids"])
        places = tuple((re.compile(each["values"]), tuple(each["places"])) for each in row.get("places", ()))
    except re.error as e:
        raise ValueError(f"no regular expression: {e}") from None
    if "name" not in ids.groupindex:
        raise ValueError("the naming's ids have no group `name`")
    also = {plain_name(other): plain_name(name) for other, name in row.get("also", {}).items()}
    return Naming(**{**row, "ids": ids, "places": places, "also": also})


def _is_maker(vendor: str, maker: str) -> bool:
    return not vendor or not maker or vendor.startswith(maker) or maker.startswith(vendor)
