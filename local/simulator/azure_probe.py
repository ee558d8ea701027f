"""Azure OpenAI's list of models: the `api-key` header, checked at a resource's host.

A resource whose name begins with `firewalled-` is behind a firewall, whatever the key. Statuses, codes and the words
that clients look for are Azure's.
"""

from __future__ import annotations

import re

from local.simulator.keys import MODELS, Keys
from local.simulator.probe_call import ProbeCall, answer
from local.simulator.replies import Whole

PROVIDER = "azure"
_HOST = re.compile(r"[a-z0-9-]+\.(openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn)")
_KEY = re.compile(r"[\w-]*sim-[\w-]+")


def key_of(call: ProbeCall) -> tuple[str | None, str | None]:
    """How the key is presented, and the key."""
    key = call.headers.get("api-key")
    return ("api-key", key) if key else (None, None)


def judge(call: ProbeCall, keys: Keys) -> Whole:
    """The answer."""
    if not _HOST.fullmatch(call.host) or (call.method, call.tail) != ("GET", "openai/v1/models"):
        return _error(404, "404", "Resource not found")
    if call.host.startswith("firewalled-"):
        return _error(403, "403", "Access denied due to Virtual Network/Firewall rules.")
    _, key = key_of(call)
    state = keys.state(PROVIDER, key, _KEY) if key else None
    if state is None or (state.refuses(MODELS) and state.refusal == "invalid_key"):
        return _error(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
    if state.refuses(MODELS):
        return _error(403, "AuthenticationTypeDisabled", "Key based authentication is disabled for this resource.")
    return answer(200, {"object": "list", "data": [{"id": "gpt-5.4", "object": "model"}]})


def _error(status: int, code: str, message: str) -> Whole:
    return answer(status, {"error": {"code": code, "message": message}})
