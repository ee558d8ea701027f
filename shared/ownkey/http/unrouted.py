"""What is answered where no endpoint is: what that path is for elsewhere, and what to do instead here.

openai-python 3.52, `resources/responses`, `resources/conversations` and `resources/images.py`; Codex opens a web socket
at `/responses` first, and has a conversation compacted at `/responses/compact`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ownkey.domain.errors import BadRequest, MethodNotAllowed, NotFound, NoWebSocket, OwnkeyError

_NOWHERE = NotFound(
    "There is no such route.",
    fix="Use a base URL that ends in /v1 for OpenAI SDKs, and one without it for Anthropic's.",
)
_NO_METHOD = MethodNotAllowed("This route does not take that method.", fix="Use one that the `Allow` header names.")
_UNREADABLE = BadRequest("The request cannot be read.")
_NO_SOCKET = NoWebSocket("There are no web sockets here.")
_NOT_STORED = NotFound(
    "Nothing is stored here: neither responses nor conversations.",
    fix="Keep what is answered, and send the whole conversation in `input`; what a provider stores, it gives itself.",
)
_MAKING = "POST /v1/images/generations makes pictures."
_KNOWN: tuple[tuple[re.Pattern[str], NotFound], ...] = tuple(
    (re.compile(f"(?:/api)?(?:/v1)?{path}"), error)
    for path, error in (
        (
            "/responses/compact",
            NotFound(
                "No conversation is compacted here.",
                fix="Have the client do it: Codex does by itself where its configuration names the gateway as a model "
                "provider whose `name` is not OpenAI.",
            ),
        ),
        (
            "/responses/input_tokens",
            NotFound("Tokens are not counted here.", fix="Count them by POST /v1/messages/count_tokens."),
        ),
        ("/(?:responses|conversations)(?:/.*)?", _NOT_STORED),
        ("/images/edits", NotFound("Pictures are made here, not edited.", fix=_MAKING)),
        (
            "/images/variations",
            NotFound(
                "There are no variations of pictures here; OpenAI has retired them.",
                fix=_MAKING,
            ),
        ),
    )
)
"""What OpenAI has at a path below the prefixes, and nobody here; the first that matches decides."""


def unrouted(status: int, path: str, headers: Mapping[str, str]) -> OwnkeyError:
    """The error for a request that the routes do not take.

    Args:
        status: 404, 405, or another that the router says.
        headers: Names in any case; API Gateway keeps `Upgrade` to itself.
    """
    if status == 405:
        return _NO_SOCKET if "upgrade" in headers or "sec-websocket-key" in headers else _NO_METHOD
    if status != 404:
        return _UNREADABLE
    return next((error for known, error in _KNOWN if known.fullmatch(path)), _NOWHERE)
