"""The validation function's work: open the ciphertext, ask the provider once, read the verdict, keep nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from ownkey.catalog import Catalog
from ownkey.domain.credentials import Binding
from ownkey.domain.errors import VaultUnavailable
from ownkey.domain.scrub import unregister
from ownkey.domain.secrets import Secret
from ownkey.upstream import Upstream, UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict, validator
from ownkey.validation.validator import Validator
from ownkey.vault import Opener, Sealer
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, FakeKms
from tests.support.management import Management, management
from tests.support.validation import validator_of

KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"
NOW = "2026-11-21T08:00:00Z"

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Provider:
    """A provider on loopback: remembers what it was asked, answers as told."""

    origin: str = ""
    asked: list[web.Request] = field(default_factory=list)
    reply: Reply | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        assert self.reply is not None
        return await self.reply(request)

    def says(self, status: int, body: Any = None, **headers: str) -> None:
        async def reply(_: web.Request) -> web.StreamResponse:
            text = body if isinstance(body, str) else json.dumps({} if body is None else body)
            return web.Response(status=status, text=text, headers=headers, content_type="application/json")

        self.reply = reply

    def refuses(self, status: int, message: str, code: str | None = "invalid_api_key") -> None:
        self.says(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    running, app = Provider(), web.Application()
    app.router.add_route("*", "/{path:.*}", running.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    running.origin = f"http://{host}:{port}"
    running.says(200, {"data": []})
    yield running
    await runner.cleanup()


@dataclass
class Bench:
    """A validator that finds its providers on loopback, and a sealer for candidates."""

    kms: FakeKms
    validator: Validator
    origin: str

    async def candidate(self, provider_id: str = "openai", base_url: str | None = None, **more: Any) -> Candidate:
        binding = Binding("acme", provider_id, "cred_1", 1, base_url or f"{self.origin}/v1")
        sealed = await Sealer(self.kms, KMS_KEY).seal(binding, {"key": Secret(KEY)}, now=NOW)
        return Candidate(binding, sealed, **more)

    async def finding(self, provider_id: str = "openai", base_url: str | None = None, **more: Any) -> Finding:
        return await self.validator.validate(await self.candidate(provider_id, base_url, **more))


@pytest.fixture
async def bench(provider: Provider) -> AsyncIterator[Bench]:
    kms = FakeKms()
    catalog = Catalog.load(dict.fromkeys(("openai", "anthropic", "groq"), f"{provider.origin}/v1"))
    upstream = Upstream(UrlPolicy([provider.origin]))
    yield Bench(kms, validator_of(Opener(kms), upstream, catalog), provider.origin)
    await upstream.close()
    unregister(KEY)


async def test_a_good_key_is_accepted_after_one_call_with_the_key_in_a_header(bench: Bench, provider: Provider) -> None:
    assert await bench.finding() == Finding(Verdict.ACCEPTED, None, 200)
    (asked,) = provider.asked
    assert (asked.method, asked.path_qs) == ("GET", "/v1/models")
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_each_provider_is_asked_in_its_own_way(bench: Bench, provider: Provider) -> None:
    await bench.finding("anthropic")
    (asked,) = provider.asked
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in asked.headers


async def test_the_credentials_further_headers_go_along(bench: Bench, provider: Provider) -> None:
    await bench.finding(headers={"organization": "org-1", "project": "proj-1"})
    (asked,) = provider.asked
    assert (asked.headers["openai-organization"], asked.headers["openai-project"]) == ("org-1", "proj-1")


async def test_a_key_with_a_base_url_of_its_own_goes_there(bench: Bench, provider: Provider) -> None:
    await bench.finding(base_url=f"{provider.origin}/proxy/openai")
    assert provider.asked[0].path == "/proxy/openai/models"


async def test_a_refusal_comes_in_the_providers_words(bench: Bench, provider: Provider) -> None:
    provider.refuses(401, "Incorrect API key provided.")
    assert await bench.finding() == Finding(Verdict.REJECTED, "Incorrect API key provided.", 401)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    "echo",
    [KEY, f"Bearer {KEY}", KEY[8:], KEY[:24], json.dumps({"inner": KEY}), KEY.replace("-", "%2D")],
    ids=["plain", "bearer", "tail", "head", "json", "url-encoded"],
)
async def test_a_provider_that_echoes_the_key_is_scrubbed(bench: Bench, provider: Provider, echo: str) -> None:
    provider.refuses(401, f"Incorrect API key provided: {echo}.")
    finding = await bench.finding()
    assert finding.verdict is Verdict.REJECTED
    shown = json.dumps(finding.to_json())
    secret = KEY.removeprefix("sk-proj-")
    assert not [secret[at : at + 8] for at in range(len(secret) - 8) if secret[at : at + 8] in shown]


async def test_a_genuine_key_without_a_permission_is_accepted_with_the_reason(bench: Bench, provider: Provider) -> None:
    provider.refuses(403, "You have insufficient permissions for this operation.", code=None)
    finding = await bench.finding()
    assert (finding.verdict, finding.status) == (Verdict.ACCEPTED, 403)
    assert "insufficient permissions" in (finding.reason or "")


@pytest.mark.parametrize("status", [500, 502, 503, 529, 404])
async def test_a_provider_in_trouble_rejects_nothing(bench: Bench, provider: Provider, status: int) -> None:
    """An outage must not look like a bad key (C15)."""
    provider.says(status, "<html>oops</html>")
    finding = await bench.finding()
    assert (finding.verdict, finding.status) == (Verdict.UNREACHABLE, status)


async def test_a_redirect_is_not_followed(bench: Bench, provider: Provider) -> None:
    provider.says(302, location=f"{provider.origin}/elsewhere")
    assert (await bench.finding()).verdict is Verdict.UNREACHABLE
    assert len(provider.asked) == 1


async def test_nobody_listening_is_out_of_reach(bench: Bench) -> None:
    upstream = Upstream(UrlPolicy(["http://127.0.0.1:1"]))
    alone = validator_of(Opener(bench.kms), upstream, Catalog.load({"openai": "http://127.0.0.1:1/v1"}))
    finding = await alone.validate(await bench.candidate())
    assert (finding.verdict, finding.status) == (Verdict.UNREACHABLE, None)
    await upstream.close()


async def test_an_answer_that_does_not_come_is_not_waited_for(
    bench: Bench, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError("waited for")

    monkeypatch.setattr(validator, "DEADLINE_S", 0.1)
    provider.reply = silence
    finding = await bench.finding()
    assert (finding.verdict, finding.reason) == (Verdict.UNREACHABLE, "the provider did not answer in time")


async def test_an_answer_without_end_is_not_read(
    bench: Bench, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            await response.write(b"x" * 4096)
        return response

    monkeypatch.setattr(validator, "_MAX_ANSWER_BYTES", 10_000)
    provider.reply = endless
    assert (await bench.finding()).verdict is Verdict.UNREACHABLE


async def test_a_base_url_is_checked_again_on_use(bench: Bench) -> None:
    """A stored URL may be older than the policy, or its name may lead elsewhere now."""
    finding = await bench.finding(base_url="http://169.254.169.254/latest")
    assert finding.verdict is Verdict.UNREACHABLE


async def test_a_candidate_of_another_account_is_undecryptable_and_nobody_is_asked(
    bench: Bench, provider: Provider
) -> None:
    candidate = await bench.candidate()
    moved = replace(candidate, binding=replace(candidate.binding, account_id="mallory"))
    assert (await bench.validator.validate(moved)).verdict is Verdict.UNDECRYPTABLE
    assert provider.asked == []


async def test_a_candidate_with_another_destination_is_undecryptable(bench: Bench, provider: Provider) -> None:
    """The ciphertext is bound to where the key may go: management cannot send it elsewhere either."""
    candidate = await bench.candidate(base_url=f"{provider.origin}/proxy")
    moved = replace(candidate, binding=replace(candidate.binding, destination="https://evil.example"))
    assert (await bench.validator.validate(moved)).verdict is Verdict.UNDECRYPTABLE
    assert provider.asked == []


async def test_a_vault_out_of_reach_is_an_error_not_a_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: object) -> bytes:
        raise VaultUnavailable("KMS did not answer.")

    monkeypatch.setattr(bench.kms, "decrypt", down)
    with pytest.raises(VaultUnavailable):
        await bench.finding()


async def test_the_hand_over_is_json_without_the_key(bench: Bench) -> None:
    candidate = await bench.candidate(headers={"organization": "org-1"})
    event = json.dumps(candidate.to_json())
    assert KEY not in event
    assert Candidate.from_json(json.loads(event)) == candidate
    finding = Finding(Verdict.REJECTED, "no", 401)
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


@pytest.mark.parametrize(
    "event", [{}, {"action": "decrypt"}, {"action": "validate"}, {"action": "validate", "candidate": {}}]
)
def test_an_event_that_is_no_candidate_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Candidate.from_json(event)


class InProcess:
    """The two functions with JSON between them, as they are deployed."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    async def validate(self, candidate: Candidate) -> Finding:
        event = json.loads(json.dumps(candidate.to_json()))
        finding = await self._validator.validate(Candidate.from_json(event))
        return Finding.from_json(json.loads(json.dumps(finding.to_json())))


@pytest.fixture
async def whole(tables: Tables, bench: Bench, provider: Provider) -> AsyncIterator[Management]:
    catalog = Catalog.load({"openai": f"{provider.origin}/v1"})
    parts = {
        "catalog": catalog,
        "sealer": Sealer(bench.kms, KMS_KEY),
        "validation": InProcess(bench.validator),
        "url_policy": UrlPolicy([provider.origin]),
    }
    async with management(tables, **parts) as api:
        yield api


async def test_management_and_validation_together(whole: Management, provider: Provider) -> None:
    saved = await whole.save()
    assert (saved["mask"], len(provider.asked)) == ("sk-…ABCD", 1)
    provider.refuses(401, f"Incorrect API key provided: {KEY}.")
    status, error = await whole.refused("POST", f"/api/byok/{saved['id']}/rotate", json={"key": KEY})
    assert status == 422
    assert error["message"].startswith("OpenAI refused the key: Incorrect API key provided")
    assert "0123456789" not in json.dumps(error)
    assert (await whole.ok("GET", f"/api/byok/{saved['id']}"))["version"] == 1
