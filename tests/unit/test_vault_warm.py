"""A warm inference request makes no call to KMS: counted at KMS, under the running inference app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from local.aws import Controls
from local.simulator import start_simulator
from ownkey.domain.credentials import StoredCredential
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import Opener, Sealer
from tests.support.aws import Tables
from tests.support.inference import AT, CHAT, KEYS, MESSAGES, World, credential

REQUESTS = (
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", CHAT | {"stream": True}),
    ("/v1/messages", MESSAGES),
    ("/v1/messages", MESSAGES | {"stream": True}),
)
ROUNDS = 10


def kms_calls(tables: Tables) -> int:
    counted = Controls(tables.endpoint).calls()["total"]
    return sum(count for operation, count in counted.items() if operation.startswith("kms."))


async def sealed(world: World, tables: Tables, provider: str) -> StoredCredential:
    """A credential whose key really is in the vault."""
    public = replace(credential(provider).credential, destination=world.catalog.provider(provider).base_url)
    sealer = Sealer(Kms(tables.aws), tables.kms_key_id)
    return StoredCredential(public, await sealer.seal(public.binding(), {"key": Secret(KEYS[provider])}, now=AT))


async def test_a_warm_request_calls_kms_never(tables: Tables, record_property: Callable[[str, object], None]) -> None:
    async with await start_simulator() as simulator:
        world = World(simulator)
        world.registry.own = [await sealed(world, tables, provider) for provider in KEYS]
        world.configure(ports=replace(world.deps.ports, vault=Opener(Kms(tables.aws))))
        before = kms_calls(tables)
        async with world.running():
            for path, body in REQUESTS:
                assert (await world.post(path, body)).status_code == 200
            cold = kms_calls(tables) - before
            for _ in range(ROUNDS):
                for path, body in REQUESTS:
                    answer = await world.post(path, body)
                    assert (answer.status_code, answer.headers["x-ownkey-byok"]) == (200, "true")
            warm = kms_calls(tables) - before - cold
    assert (cold, warm) == (len(KEYS), 0)
    record_property("warm_requests", ROUNDS * len(REQUESTS))
    record_property("kms_calls", warm)
