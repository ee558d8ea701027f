"""Conversations that Anthropic's API holds between turns: `thread` in a request, which then has the new messages alone.

Nobody but that API, by a key of the account's own, has what came before. Anthropic's SDKs ask for a thread by
themselves (their tool runner does), and send the whole conversation where they read that there is none:
anthropic-sdk-python 2.11, `lib/threads/_thread_state.py`, `types/beta/beta_message_thread_param.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import FOR_CLIENTS, UnsupportedParameter


def refuse_thread(values: Mapping[str, Any]) -> None:
    """Checks a request whose conversation nobody holds.

    Raises:
        UnsupportedParameter: it asks for a thread, or to go on with one.
    """
    if values.get("thread"):
        read_by_sdks = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
        raise UnsupportedParameter(
            "`thread` cannot be served: Anthropic's own API alone holds conversations, by a key of your own.",
            fix="Send the whole conversation in `messages`.",
            param="thread",
            details={"unsupported": ["thread"], FOR_CLIENTS: read_by_sdks},
        )
