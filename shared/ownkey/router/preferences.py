"""The request's own word on providers: the `provider` object of the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ownkey.domain.errors import InvalidParameter

_MAX_NAMES = 50
_MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Preferences:
    """Names are as the client wrote them: ids, display names or aliases, in any case."""

    order: tuple[str, ...] = ()
    """Tried first, in this order."""
    only: tuple[str, ...] | None = None
    """No others. None: all."""
    ignore: tuple[str, ...] = ()
    """Never these."""
    allow_fallbacks: bool = True
    """False: never the platform's credentials, and no provider beyond `order`, where that is given."""
    require_parameters: bool = False
    """True: only a provider that can express all of the request; nothing of it may be dropped."""

    @staticmethod
    def of(body: Mapping[str, Any]) -> Preferences:
        """Reads `body["provider"]`; without one, nothing is preferred.

        Raises:
            InvalidParameter: a member is of the wrong kind.
        """
        given = body.get("provider")
        if given is None:
            return ANY_PROVIDER
        if not isinstance(given, Mapping):
            raise InvalidParameter("`provider` is not an object.", param="provider")
        return Preferences(
            order=_names(given, "order") or (),
            only=_names(given, "only"),
            ignore=_names(given, "ignore") or (),
            allow_fallbacks=_flag(given, "allow_fallbacks") is not False,
            require_parameters=_flag(given, "require_parameters") is True,
        )


ANY_PROVIDER = Preferences()


def _flag(given: Mapping[str, Any], member: str) -> bool | None:
    flag = given.get(member)
    if not isinstance(flag, bool | None):
        raise InvalidParameter(f"`provider.{member}` is not a boolean.", param=f"provider.{member}")
    return flag


def _names(given: Mapping[str, Any], member: str) -> tuple[str, ...] | None:
    names = given.get(member)
    if names is None:
        return None
    if (
        not isinstance(names, list)
        or len(names) > _MAX_NAMES
        or not all(isinstance(name, str) and len(name) <= _MAX_NAME_CHARS for name in names)
    ):
        raise InvalidParameter(
            f"`provider.{member}` is not a list of at most {_MAX_NAMES} providers' names.", param=f"provider.{member}"
        )
    return tuple(names)
