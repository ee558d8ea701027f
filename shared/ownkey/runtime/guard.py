"""The last word of a function under the managed runtime.

AWS's runtime client writes the text and traceback of an uncaught exception to its own log and into the invocation's
result, past our scrubber. So nothing uncaught reaches it: what happened is logged here, and a fixed sentence goes on.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], Any], Any]


class FunctionFailed(Exception):
    """The invocation failed; its log line of level ERROR says why."""


def guarded(handler: Handler) -> Handler:
    """The handler, whose uncaught exceptions are logged, scrubbed, and raised without their text.

    Raises:
        FunctionFailed: so that Lambda sees a failed invocation: it retries, bisects, and counts it.
    """

    @functools.wraps(handler)
    def run(event: dict[str, Any], context: Any) -> Any:
        try:
            return handler(event, context)
        except Exception:  # noqa: BLE001 - the boundary: nothing may pass it
            _log.exception("the invocation failed")
        raise FunctionFailed("the invocation failed: the log says why")

    return run
