"""Where an API is found, and what else of a request follows from the place: not from what is asked.

One dialect is served at several addresses: OpenAI's by Azure under a deployment's name, Anthropic's by Vertex and
Bedrock with the model in the URL. A translator, passing through or crossing, writes the dialect; its `Address` does the
rest. The defaults: `Plain("/chat/completions")`, and `anthropic.messages.MessagesAddress`.

```
passed_on(address, call, {"stream_options": …})     # the client's own body with changes
addressed(address, call, {"messages": […]})         # a body written anew
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from ownkey.catalog import Auth
from ownkey.providers.document import REMOVED
from ownkey.providers.passthrough import request_headers, rewritten, unwritable
from ownkey.providers.translator import Call, Encoded


class Address(Protocol):
    """An API's place. Without state: one stands for all calls."""

    def url(self, call: Call) -> str:
        """Where the request goes; `call.streamed` says whether a stream is wanted.

        Raises:
            UnsupportedParameter: what is asked is not to be had there.
        """

    def headers(self, call: Call) -> dict[str, str]:
        """All but the key's; names in lower case."""

    def members(self, call: Call) -> Mapping[str, Any]:
        """What the place demands of the body's members, whatever the dialect would have: a value, or
        `document.REMOVED`. The provider's name of the model is among them.
        """

    def auth(self, call: Call) -> Auth:
        """How a plain key is presented."""


class Plain:
    """An `Address`: the base URL and a path, the model in the body, the key as the row has it."""

    __slots__ = ("_forwarded", "_path")

    def __init__(self, path: str, forwarded: frozenset[str] = frozenset()) -> None:
        """
        Args:
            path: After the base URL: `/chat/completions`.
            forwarded: The client's headers that go on, names in lower case.
        """
        self._path = path
        self._forwarded = forwarded

    def url(self, call: Call) -> str:
        """As `Address` has it."""
        return call.base_url + self._path

    def headers(self, call: Call) -> dict[str, str]:
        """The row's, over them the client's own, over them the credential's."""
        return request_headers(call, self._forwarded)

    def members(self, call: Call) -> Mapping[str, Any]:
        """The model alone."""
        return {"model": call.model_id}

    def auth(self, call: Call) -> Auth:
        """As the row has it."""
        return call.provider.auth


def passed_on(address: Address, call: Call, changes: Mapping[str, Any], dropped: tuple[str, ...] = ()) -> Encoded:
    """The client's own body with changes, sent to the address: byte for byte the client's where nothing changes."""
    body = rewritten(call, {**changes, **address.members(call)})
    return Encoded(address.url(call), address.headers(call), body, address.auth(call), dropped)


def addressed(address: Address, call: Call, members: Mapping[str, Any], dropped: tuple[str, ...] = ()) -> Encoded:
    """A body written anew, sent to the address.

    Raises:
        InvalidParameter: as `passthrough.unwritable` has it.
    """
    placed = {**members, **address.members(call)}
    try:
        body = _dumps({name: value for name, value in placed.items() if value is not REMOVED}).encode()
    except (ValueError, RecursionError):
        raise unwritable() from None
    return Encoded(address.url(call), address.headers(call), body, address.auth(call), dropped)


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
