"""The running stack as tests hold it: the real SDKs in front, the simulated provider and the tables behind.

The stack has a thread and an event loop of its own, so that tests may block, as synchronous SDKs do.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import boto3
import httpx
import openai

from local.running import OPERATOR, Running, RunOptions, running
from local.seed import Seed
from local.simulator.behaviour import digest_of
from local.simulator.journal import Entry
from ownkey.store import keys
from tests.e2e.accounts import Account, Json, SavedKey, Session, new_provider_key
from tests.e2e.stage import Scene, Stage

T = TypeVar("T")

PLATFORM_KEYS = {
    "OpenAI": "sk-sim-the-operators-own-openai-key-0001",
    "Anthropic": "sk-ant-sim-the-operators-own-anthropic-key-0001",
    "Groq": "gsk_sim-the-operators-own-groq-key-0001",
}
SHARING_PROVIDER = "mistral"
"""The one that the operator lists for sharing. He has no key for it: nothing but what is shared can serve."""
CUT_OFF = "cut-off"
_START_S, _STOP_S = 90.0, 60.0


def _seed(unreachable: str) -> Seed:
    """What the API would not save: a key for a provider out of reach. And the operator's own provider keys."""
    credential = {"provider": "openai-compatible", "secret": new_provider_key(), "base_url": unreachable}
    account = {
        "id": CUT_OFF,
        "platform_allowed": False,
        "users": [{"email": OPERATOR}],
        "gateway_keys": [{"alias": "test"}],
        "credentials": [credential],
    }
    platform = [{"provider": name, "secret": key} for name, key in PLATFORM_KEYS.items()]
    return Seed.model_validate({"accounts": [account], "platform_credentials": platform})


class World:
    """One stack for all tests of the run. Tests keep apart by accounts and keys of their own."""

    up: Running
    stage: Stage

    def __init__(self, log_directory: Path, **stack: Any) -> None:
        """`stack`: further fields of `StackOptions`."""
        parameters = {"SharingProviders": SHARING_PROVIDER}
        self.logs = log_directory
        self._stack = {"log_directory": log_directory, "schedules": False, "parameters": parameters, **stack}
        self._thread = threading.Thread(target=self._run_stack, name="stack", daemon=True)
        self._ready: Future[None] = Future()
        self._http = httpx.Client(timeout=60, trust_env=False, verify=False)
        self._openai_http = openai.DefaultHttpxClient(trust_env=False, verify=False)
        self._anthropic_http = anthropic.DefaultHttpxClient(trust_env=False, verify=False)

    def start(self) -> None:
        """Starts the stack; raises what keeps it from starting."""
        environment = dict(os.environ)
        self._thread.start()
        try:
            self._ready.result(timeout=_START_S)
        except BaseException:
            self.stop()
            raise
        finally:
            os.environ.clear()
            os.environ.update(environment)

    def stop(self) -> None:
        """Ends the stack and the thread."""
        for http in (self._http, self._openai_http, self._anthropic_http):
            http.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(timeout=_STOP_S)
        assert not self._thread.is_alive(), "the stack does not end"

    def _run_stack(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self.stage = await Stage().start()
        origins = [self.stage.origin, self.stage.closed_origin]
        seed = _seed(f"{self.stage.closed_origin}/v1")
        try:
            async with running(RunOptions(seed=seed, stack={"allowed_origins": origins, **self._stack})) as self.up:
                self._ready.set_result(None)
                await asyncio.Event().wait()
        except Exception as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
        finally:
            await self.stage.close()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
        """The result of a coroutine of the stack's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """The result of a plain call, made where the stack runs: its objects are not made for two threads."""

        async def called() -> T:
            return function(*args, **kwargs)

        return self.run(called())

    @property
    def base_url(self) -> str:
        """Of the gateway, before `/v1`."""
        return self.up.state.base_url

    def drain(self) -> None:
        """Waits until every answer so far is recorded and billed."""
        self.run(self.up.stack.drain_stream())

    def upkeep(self, task: str) -> Json:
        """What a schedule of upkeep has it do (`sweep`, `revalidate`, `remind`); what it did."""
        done = self.run(self.up.stack.invoke("UpkeepFunction", {"task": task}))
        assert isinstance(done, dict), done
        return done

    def cool_down(self) -> None:
        """Ends the environments of the functions that open keys: the next ones have no caches.

        Waits for their end: a request that comes while one dies that never got ready dies with it.
        """

        async def ended() -> None:
            functions = ("InferenceFunction", "ValidationFunction")
            old = [each for function in functions for each in self.up.stack.environments(function)]
            await asyncio.gather(*(each.stop() for each in old))

        self.run(ended())

    def kill(self, function: str) -> None:
        """Kills a function's environments and waits for their end: a request that met one would die with it."""

        async def killed() -> None:
            self.up.stack.kill(function)
            async with asyncio.timeout(10):
                while self.up.stack.environments(function):
                    await asyncio.sleep(0.005)

        self.run(killed())

    def rest(self) -> None:
        """Waits until no inference function is still at a request, or at what follows its answer.

        A client has the last byte of an answer before the stack knows that the function is through with it. One whose
        client has gone may wait for a silent provider for a minute, and has nothing to do with whoever rests.
        """

        def at_work() -> list[str]:
            return [
                each.invocation.payload.decode() if each.invocation else "what follows an answer"
                for each in self.up.stack.environments("InferenceFunction")
                if each.finishing or (each.invocation and not getattr(each.invocation.answer, "gone", False))
            ]

        async def rested() -> None:
            give_up = asyncio.get_running_loop().time() + 30
            while at_work():
                assert asyncio.get_running_loop().time() < give_up, at_work()
                await asyncio.sleep(0.002)

        self.run(rested())

    def forget_health(self, account_id: str) -> None:
        """Takes away what the fleet knows of an account's credentials, as if nothing had ever failed."""
        self.rest()
        at = {"pk": {"S": keys.health(account_id)}, "sk": {"S": keys.HEALTH}}
        self.dynamodb().delete_item(TableName=self.up.stack.resources["HealthTable"], Key=at)

    # ── the simulated provider ──

    def script(self, provider: str, *, key: str | None = None, **knobs: Any) -> None:
        """What requests with this key shall suffer (local/simulator/README.md)."""
        self.call(self.up.simulator.scripts.add, provider, key=key, **knobs)

    def set_key(self, provider: str, key: str, accepted: bool | str) -> None:
        """Whether the simulated provider accepts a key from now on."""
        self.call(self.up.simulator.keys.set, provider, key, accepted)

    def all_calls(self, key: str) -> list[Entry]:
        """The requests that reached the simulated provider with a key, in order."""
        entries = self.call(self.up.simulator.journal.entries)
        return [each for each in entries if each.key_sha256 == digest_of(key)]

    def calls(self, key: str) -> list[Entry]:
        """Those of them that ask a model."""
        return [each for each in self.all_calls(key) if each.method == "POST"]

    def scene(self, **settings: Any) -> Scene:
        """A provider that the test plays itself."""
        return self.stage.scene(secrets.token_hex(6), self._loop, **settings)

    # ── accounts ──

    def account(self, *, owner: str | None = None, credits_usd: str | None = None, **settings: Any) -> Account:
        """A fresh account with a gateway key.

        Args:
            owner: The owner's e-mail; without one the operator owns it.
            settings: As `PATCH /api/accounts/{id}` takes them.
        """
        account_id = f"t{secrets.token_hex(6)}"
        operator = self.operator(account_id)
        wanted = {"id": account_id, "name": account_id}
        operator.ok("POST", "/api/accounts", wanted | ({"owner_email": owner} if owner else {}))
        session = Session(self, self.up.users.sign_in(owner).token, account_id) if owner else operator
        if settings:
            operator.ok("PATCH", f"/api/accounts/{account_id}", settings)
        if credits_usd:
            operator.ok("POST", f"/api/accounts/{account_id}/deposits", {"amount_usd": credits_usd})
            self.drain()
        key = session.ok("POST", "/api/gateway-keys", {"alias": "test"})
        return Account(self, account_id, session, key["key"], key["id"])

    def cut_off_account(self) -> Account:
        """An account whose only key is for a provider that nothing connects to."""
        key = self.up.state.gateway_keys[CUT_OFF]["test"]
        operator = self.operator(CUT_OFF)
        (stored,) = operator.ok("GET", "/api/gateway-keys")["data"]
        return Account(self, CUT_OFF, operator, key, stored["id"])

    def operator(self, account_id: str) -> Session:
        """The operator of the deployment, in an account."""
        return Session(self, self.up.state.sessions[OPERATOR], account_id)

    # ── raw access ──

    def http(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request without any SDK; `path` begins after the stage."""
        return self._http.request(method, self.base_url + path, **options)

    def openai(self, gateway_key: str, **options: Any) -> openai.OpenAI:
        """The synchronous OpenAI SDK; it does not retry unless the test says so."""
        settings = {"base_url": f"{self.base_url}/v1", "max_retries": 0, "timeout": 60} | options
        return openai.OpenAI(api_key=gateway_key, http_client=self._openai_http, **settings)

    def anthropic(self, gateway_key: str, **options: Any) -> anthropic.Anthropic:
        """The synchronous Anthropic SDK; it does not retry unless the test says so."""
        settings = {"base_url": self.base_url, "max_retries": 0, "timeout": 60} | options
        return anthropic.Anthropic(api_key=gateway_key, http_client=self._anthropic_http, **settings)

    def async_openai(self, gateway_key: str, **options: Any) -> openai.AsyncOpenAI:
        """The asynchronous OpenAI SDK, for the loop of the test that calls."""
        settings = {"base_url": f"{self.base_url}/v1", "max_retries": 0, "timeout": 60} | options
        http = openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)
        return openai.AsyncOpenAI(api_key=gateway_key, http_client=http, **settings)

    def async_anthropic(self, gateway_key: str, **options: Any) -> anthropic.AsyncAnthropic:
        """The asynchronous Anthropic SDK, for the loop of the test that calls."""
        settings = {"base_url": self.base_url, "max_retries": 0, "timeout": 60} | options
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False, verify=False)
        return anthropic.AsyncAnthropic(api_key=gateway_key, http_client=http, **settings)

    def dynamodb(self) -> Any:
        """A client of the tables behind everything, past the product."""
        return self._tables

    @cached_property
    def _tables(self) -> Any:
        return boto3.client(
            "dynamodb",
            endpoint_url=self.up.state.aws_endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
        )

    def change_gateway_key(self, gateway_key: str, **attributes: str) -> None:
        """Puts attributes into a stored gateway key that the API would refuse, such as an expiry in the past."""
        table = self.up.stack.resources["RegistryTable"]
        at = {"pk": {"S": f"KEY#{digest_of(gateway_key)}"}, "sk": {"S": "KEY"}}
        item = self.dynamodb().get_item(TableName=table, Key=at)["Item"]
        self._put("RegistryTable", item | {name: {"S": value} for name, value in attributes.items()})

    def change_ciphertext(self, key: SavedKey) -> None:
        """Turns one bit of a saved key's ciphertext over."""
        item = self._sealed(key)
        changed = item["ciphertext"]["B"][:-1] + bytes([item["ciphertext"]["B"][-1] ^ 1])
        self._put("RegistryTable", item | {"ciphertext": {"B": changed}})

    def move_ciphertext(self, giver: SavedKey, taker: SavedKey) -> None:
        """Puts one saved key's whole sealed secret in the place of another's."""
        item = self._sealed(taker)
        self._put("RegistryTable", self._sealed(giver) | {"pk": item["pk"], "sk": item["sk"]})

    def _sealed(self, key: SavedKey) -> Json:
        items = self.items("RegistryTable")
        return next(each for each in items if key.id in each["sk"]["S"] and "ciphertext" in each)

    def _put(self, table: str, item: Json) -> None:
        self.dynamodb().put_item(TableName=self.up.stack.resources[table], Item=item)

    def items(self, table: str) -> list[Json]:
        """Every item of a table, by the table's logical id, as DynamoDB's own JSON has it."""
        pages = self.dynamodb().get_paginator("scan").paginate(TableName=self.up.stack.resources[table])
        return [item for page in pages for item in page["Items"]]

    def partition(self, table: str, partition: str) -> list[Json]:
        """The items of one partition: a table that all tests share is long to scan."""
        wanted = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": partition}}}
        pages = self.dynamodb().get_paginator("query").paginate(TableName=self.up.stack.resources[table], **wanted)
        return [item for page in pages for item in page["Items"]]
