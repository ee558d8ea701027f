"""What Bedrock says instead of an answer: by the name of its exception, in a header, in a body or inside a stream.

Names and statuses from the service model's errors, and AWS's common ones; those that the status already tells are left
to `providers.failures`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.bedrock.eventstream import Frame
from ownkey.providers.failures import decode_failure as decode
from ownkey.providers.failures import failure_in_answer

_STATUSES: Mapping[str, int] = {
    "accessdeniedexception": 403,
    "expiredtokenexception": 401,
    "internalserverexception": 500,
    "modelerrorexception": 502,
    "modelnotreadyexception": 503,
    "modelstreamerrorexception": 502,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 429,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "unrecognizedclientexception": 401,
    "validationexception": 400,
}
"""Exception → the status it means here. A model that failed (424) or is still being loaded (429) is the provider's
side; a used-up quota (400) is a limit, not a mistake in the request; a key that is not known, or over (both 403), is
no missing permission for the model. A signature that does not match stays one of this request: the key was proven."""
_BAD_API_KEY = re.compile(rb'make sure your API Key is valid|^\{"Message":\s*"Bearer Token has expired', re.IGNORECASE)
"""In an AccessDeniedException: AWS's words for an API key that is none (anomalyco/opencode 47073), or is over: a
short-term one lives twelve hours at most."""

_NOT_THIS_ACCOUNTS = re.compile(
    rb'\{"[Mm]essage":\s*"(?:The model returned the following errors: )?(?:'
    rb"Access denied\. This Model is marked by provider as Legacy|Model use case details have not been submitted|"
    rb"You have not filled out the required use-case form|data retention mode '[a-z_]+' is not available)"
)
"""How a 404 or 400 begins that says that the credential's account may not use the model (aws-samples/
amazon-bedrock-workshop 386; truefoundry/models 934; PostHog/posthog 71189): with another account's it may be served."""
_NO_CACHE_HERE = re.compile(rb"did not allow prompt caching")
"""In a 403: the model has no cache, and the request has a mark of one; nothing is wrong with the credential."""
_FIXES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"on-demand throughput isn.t supported"),
        "Name an inference profile of this model: its id with `us.`, `eu.`, `global.` … before it, or the profile's "
        "ARN. Under its maker's name, with Bedrock in `provider.only`, a model is asked by the profile of the "
        "credential's region.",
    ),
    (re.compile(r"did not allow prompt caching"), "Leave `cache_control` out: the model behind this id has no cache."),
    (
        re.compile(r"provided model identifier is invalid"),
        "Check the id, and whether the model is served in the credential's region: not each one is in each region.",
    ),
    (
        re.compile(r"doesn.t support counting tokens"),
        "Count with a model's own id, not an application inference profile's ARN; some models Bedrock does not count.",
    ),
)
"""What to do about a refusal, by what Bedrock says (its troubleshooting guide; pydantic-ai 4001)."""


def decode_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """`{"message": …}` with the exception's name in `x-amzn-errortype`, or as `__type` in the body."""
    if status >= 400:
        name = headers.get("x-amzn-errortype", "").partition(":")[0]
        status = 403 if _NOT_THIS_ACCOUNTS.match(body) else _STATUSES.get(name.lower(), status)
        status = 400 if _NO_CACHE_HERE.search(body) else 401 if _BAD_API_KEY.search(body) else status
    failure = decode(status, headers, body)
    failure.fix = next((fix for says, fix in _FIXES if says.search(failure.message)), failure.fix)
    return failure


def failure_in_frame(frame: Frame) -> ProviderFailure | None:
    """The failure that a frame of a stream is; None: it is an event."""
    error = error_of(frame)
    return failure_in_answer({"error": error}) if error else None


def error_of(frame: Frame) -> dict[str, Any] | None:
    """The error that a frame tells: an exception of the service's, or an error of the framing's."""
    kind = frame.headers.get(":message-type")
    if kind == "error":
        return {"type": frame.headers.get(":error-code"), "message": frame.headers.get(":error-message"), "status": 500}
    if kind != "exception":
        return None
    name = frame.headers.get(":exception-type", "")
    try:
        values = json.loads(frame.payload)
    except (ValueError, RecursionError):
        values = {}
    told = values if isinstance(values, dict) else {}
    message = told.get("message") or told.get("Message") or told.get("originalMessage")
    return {
        "type": name,
        "message": message or f"The stream ended with {name}.",
        "status": _STATUSES.get(name.lower(), 500),
    }
