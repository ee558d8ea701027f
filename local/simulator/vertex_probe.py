"""Vertex AI's list of endpoints: an access token from the simulated token endpoint, at the location's own host. Models
there are `google_dialects`'.

A project whose id begins with `forbidden-` gives the account no permission. Statuses and the words that clients look
for are Google's.
"""

from __future__ import annotations

import re

from local.simulator.keys import MODELS, Keys
from local.simulator.probe_call import ProbeCall, answer
from local.simulator.replies import Whole

PROVIDER = "vertex"
_NO_FORM = re.compile(r"(?!)")
"""No token is good for its looks."""
_PATH = re.compile(r"v1(?:beta1)?/projects/(?P<project>[a-z0-9-]+)/locations/(?P<location>[a-z0-9-]+)/(?P<rest>.+)")
_MODELS = (
    "publishers/google/models/",
    "publishers/anthropic/models/",
    "publishers/mistralai/models/",
    "endpoints/openapi/",
)
_LIST = ("GET", "endpoints")
_FORBIDDEN = "forbidden-"


def key_of(call: ProbeCall) -> tuple[str | None, str | None]:
    """How the token is presented, and the token."""
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    return ("bearer", token) if scheme == "Bearer" and token else (None, None)


def serves(call: ProbeCall) -> bool:
    """Whether it is a request to a model, at its location's host, in a project that may."""
    path = _PATH.fullmatch(call.tail)
    if path is None or call.host != _host(path["location"]) or path["project"].startswith(_FORBIDDEN):
        return False
    return path["rest"].startswith(_MODELS)


def judge(call: ProbeCall, keys: Keys) -> Whole:
    """The answer."""
    path = _PATH.fullmatch(call.tail)
    known = path is not None and (path["rest"].startswith(_MODELS) or (call.method, path["rest"]) == _LIST)
    if path is None or not known or call.host != _host(path["location"]):
        return _error(404, "NOT_FOUND", "Not Found")
    _, token = key_of(call)
    if token is None or keys.state(PROVIDER, token, _NO_FORM).refuses(MODELS):
        return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    if path["project"].startswith(_FORBIDDEN):
        where = f"projects/{path['project']}/locations/{path['location']}"
        wanted = "endpoints.list" if path["rest"] == "endpoints" else "endpoints.predict"
        return _error(403, "PERMISSION_DENIED", f"Permission 'aiplatform.{wanted}' denied on '//{where}'.")
    return answer(200, {})


def _host(location: str) -> str:
    hosts = {"global": "aiplatform.googleapis.com"}
    hosts |= {each: f"aiplatform.{each}.rep.googleapis.com" for each in ("us", "eu")}
    return hosts.get(location, f"{location}-aiplatform.googleapis.com")


def _error(status: int, name: str, message: str) -> Whole:
    return answer(status, {"error": {"code": status, "message": message, "status": name}})
