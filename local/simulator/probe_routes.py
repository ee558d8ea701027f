"""The validation calls of clouds, mounted: journalled, scripted and delivered like any other request.

A probe that has `serves` passes what it says so of on to the dialects: requests to a model.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from aiohttp import web

from local.simulator import azure_probe, bedrock_probe, vertex_probe
from local.simulator.behaviour import Behaviour
from local.simulator.delivery import deliver
from local.simulator.probe_call import ProbeCall, answer
from local.simulator.replies import Reply, Silence

if TYPE_CHECKING:
    from local.simulator.app import Simulator

PROBES: dict[str, ModuleType] = {probe.PROVIDER: probe for probe in (azure_probe, bedrock_probe, vertex_probe)}


def probe_routes(simulator: Simulator) -> list[web.RouteDef]:
    """`/<provider>/v1/<the vendor's host>/…` for the clouds. Scripts match by provider, key, path after the host."""

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["provider"]
        probe = PROBES[name]
        call = ProbeCall(
            host=request.match_info["host"],
            tail=request.match_info["tail"],
            method=request.method,
            path=request.raw_path,
            headers=request.headers,
            body=await request.read(),
            now_s=simulator.keys.clock(),
        )
        if hasattr(probe, "serves") and probe.serves(call):
            return await simulator.serve(request)
        scheme, key = probe.key_of(call)
        entry = simulator.journal.open(
            name, call.method, request.path, request.query_string, call.headers, (scheme, key), call.body
        )
        entry.knobs = simulator.scripts.take(name, key, None, call.tail)
        behaviour = Behaviour.of(entry.knobs)
        return await deliver(request, _reply(call, behaviour, probe, simulator), behaviour, entry)

    providers = "|".join(PROBES)
    return [web.route("*", f"/{{provider:{providers}}}/v1/{{host:[^/]+\\.[^/]+}}/{{tail:.*}}", serve)]


def _reply(call: ProbeCall, behaviour: Behaviour, probe: ModuleType, simulator: Simulator) -> Reply:
    if behaviour.hang:
        return Silence()
    if behaviour.fail is not None:
        status = int(behaviour.fail) if behaviour.fail.isdigit() else 500
        return answer(status, {"message": "The simulator fails as it was told to."})
    reply: Reply = probe.judge(call, simulator.keys)
    return reply
