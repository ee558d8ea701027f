"""Beta features where Anthropic's models are served by others: each knows some of them, answers 400 to the rest, and
clients send all they know. The tables of the known ones stand with the hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

HEADER = "anthropic-beta"
_DEPTH = 2
"""A message's blocks, and a result's within them."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Betas(NamedTuple):
    """What a client asks for."""

    known: tuple[str, ...]
    """By the host's names."""
    dropped: tuple[str, ...]
    """`anthropic-beta.<name>` of the others."""


def asked_for(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The features in a client's headers, whose names are in lower case."""
    return tuple(filter(None, (each.strip() for each in headers.get(HEADER, "").split(","))))


def sorted_out(asked: Iterable[str], known: Mapping[str, str]) -> Betas:
    """Each feature once.

    Args:
        known: Anthropic's name → the host's.
    """
    each_once = tuple(dict.fromkeys(asked))
    others = (f"{HEADER}.{each}" if _NAME.fullmatch(each) else HEADER for each in each_once if each not in known)
    taken = dict.fromkeys(known[each] for each in each_once if each in known)
    return Betas(tuple(taken), tuple(dict.fromkeys(others)))


class Unscoped(NamedTuple):
    """What makes a request one without scopes."""

    changes: dict[str, Any]
    """Of the request's members; none where no mark has a scope."""
    dropped: tuple[str, ...]


def unscoped(values: Mapping[str, Any]) -> Unscoped:
    """A request whose `cache_control`s have no `scope`: clients give them one without being asked (Claude Code since
    2.1.38, Wei-Shaw/claude-relay-service 965), it says only who shares the cache, and hosts refuse it."""
    changes = {}
    for name in ("system", "tools", "messages"):
        stated = values.get(name)
        if isinstance(stated, list) and (changed := _unscoped(stated, _DEPTH)) is not stated:
            changes[name] = changed
    return Unscoped(changes, ("cache_control.scope",) if changes else ())


def _unscoped(items: list[Any], depth: int) -> list[Any]:
    """The messages or blocks; the very list where no mark in it has a scope."""
    changed = [_without_scope(each, depth) if isinstance(each, dict) else each for each in items]
    return items if all(new is old for old, new in zip(items, changed, strict=True)) else changed


def _without_scope(item: dict[str, Any], depth: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    mark, content = item.get("cache_control"), item.get("content")
    if isinstance(mark, dict) and "scope" in mark:
        changed["cache_control"] = {name: each for name, each in mark.items() if name != "scope"}
    if depth and isinstance(content, list) and (inside := _unscoped(content, depth - 1)) is not content:
        changed["content"] = inside
    return {**item, **changed} if changed else item
