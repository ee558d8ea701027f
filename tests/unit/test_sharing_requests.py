"""Requests that nothing else serves, on credentials that others share: who may, at what price, who learns what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from local.simulator import start_simulator
from ownkey.catalog.sharing import consent_text, sharing_terms
from ownkey.domain.accounts import AccountHead
from ownkey.domain.attempts import Outcome
from ownkey.domain.credentials import CredentialSource, PoolStrategy, StoredCredential
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.faults import FaultKind
from ownkey.domain.health import HEALTHY, HealthState, Mark, credential_key
from ownkey.domain.pricing import CredentialPricing, PricingMode
from ownkey.domain.sharing import Consent, guest
from ownkey.registry import Donor
from tests.support.inference import ACCOUNT, AT, CHAT, World, credential
from tests.support.pieces import InPieces

DONOR = "donor-CANARY"
KEY = "sk-sim-of-the-donor-0123456789"
TEXT = consent_text()
CONSENT = Consent(TEXT.version, TEXT.digest, "dora", AT)


def shared(**values: Any) -> StoredCredential:
    """A credential that its owner shares."""
    given = {"account_id": DONOR, "alias": "CANARY-alias", "mask": "sk-…CANARY", "shared_version": 1}
    return credential(values.pop("provider", "openai"), values.pop("key", KEY), **given | values)


def donor(*credentials: StoredCredential, account_id: str = DONOR, **head: Any) -> Donor:
    made = AccountHead(**{"id": account_id, "name": "CANARY", "version": 1, "created_at": AT} | head)
    if "sharing_consent" not in head:
        made = replace(made, sharing_consent=CONSENT)
    return Donor(made, credentials or (shared(),), HEALTHY)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An account without keys, in a deployment whose operator lists OpenAI and Groq; one account shares."""
    async with await start_simulator() as simulator:
        made = World(simulator)
        made.configure(sharing=sharing_terms(made.catalog, ("openai", "groq"), 500))
        made.registry.donors = [donor()]
        async with made.running():
            yield made


async def served_by(world: World, body: Any = CHAT) -> str:
    """The status, and whose key the provider saw last."""
    answer = await world.post("/v1/chat/completions", body)
    return f"{answer.status_code} {answer.headers['x-ownkey-credential']}"


SHARED, NOBODY = "200 shared", "404 none"


# ── who serves whom


async def test_a_request_that_nothing_else_serves_is_served_and_charged_as_the_platforms(world: World) -> None:
    answer = await world.post("/v1/chat/completions", CHAT)
    ((start, end),) = world.attempts.records
    assert answer.status_code == 200
    assert (start.source, end.outcome) == (CredentialSource.PLATFORM, Outcome.SUCCEEDED)
    assert end.charge_nanousd == round(end.cost_nanousd * 1.05) > 0
    assert world.holds.placed[0].account_id == ACCOUNT
    assert start.donation is not None
    assert (start.donation.account_id, start.donation.credential_id, start.donation.credential_version) == (
        DONOR,
        "cred_CANARY-alias",
        1,
    )
    assert start.donation.reward_basis_points == 500


async def test_the_donors_own_price_list_is_nobody_elses(world: World) -> None:
    await world.post("/v1/chat/completions", CHAT)
    world.registry.donors = [donor(shared(pricing=CredentialPricing(PricingMode.FLAT)))]
    await world.post("/v1/chat/completions", CHAT)
    (_, listed), (start, flat) = world.attempts.records
    assert (flat.cost_nanousd, flat.charge_nanousd) == (listed.cost_nanousd, listed.charge_nanousd)
    assert start.price_version == world.catalog.version


async def test_an_own_credential_and_the_platforms_come_first_and_read_nothing_of_others(world: World) -> None:
    world.registry.platform = [credential("openai", alias="platform-openai")]
    assert await served_by(world) == "200 platform-openai"
    world.registry.own = [credential("openai", alias="own-openai")]
    assert await served_by(world) == "200 own-openai"
    assert world.registry.donors_read == 0


async def test_it_stands_in_where_the_platforms_fails(world: World) -> None:
    world.registry.platform = [credential("openai", "sk-unknown", alias="platform-openai")]
    answer = await world.post("/v1/chat/completions", CHAT)
    assert (answer.status_code, answer.headers["x-ownkey-attempts"]) == (200, "2")
    assert [start.donation is not None for start, _ in world.attempts.records] == [False, True]


async def test_a_request_that_the_provider_refuses_is_not_sent_to_others(world: World) -> None:
    world.registry.platform = [credential("openai", "sk-sim-platform", alias="platform-openai")]
    world.simulator.scripts.add("openai", key="sk-sim-platform", fail="400")
    assert (await world.post("/v1/chat/completions", CHAT)).status_code == 400
    assert world.registry.donors_read == 0


@pytest.mark.parametrize(
    "change",
    [
        {"account": {"platform_allowed": False}},
        {"body": {"provider": {"allow_fallbacks": False}}},
        {"body": {"provider": {"ignore": ["openai"]}}},
        {"key": {"models": ("claude-*",)}},
        {"key": {"providers": ("anthropic",)}},
        {"own": [credential("openai", alias="own", always_use=True, disabled=True)]},
    ],
    ids=str,
)
async def test_what_keeps_the_platform_from_serving_keeps_others_credentials_from_it(
    world: World, change: dict[str, Any]
) -> None:
    world.registry.account = replace(world.registry.account, **change.get("account", {}))
    world.registry.key = replace(world.registry.key, **change.get("key", {}))
    world.registry.own = change.get("own", [])
    answer = await world.post("/v1/chat/completions", CHAT | change.get("body", {}))
    assert answer.status_code in (403, 404)
    assert world.attempts.records == []


async def test_nobody_is_served_by_what_it_shares_itself(world: World) -> None:
    world.registry.donors = [donor(shared(account_id=ACCOUNT), account_id=ACCOUNT)]
    assert await served_by(world) == NOBODY


@pytest.mark.parametrize(
    "made",
    [
        donor(shared(shared_version=None)),
        donor(shared(version=2)),
        donor(shared(disabled=True)),
        donor(shared(allowed_models=("gpt-5",))),
        donor(shared(gateway_keys=("gk_1",))),
        donor(shared(expires_at="2020-01-01T00:00:00Z")),
        donor(shared(custom_base_url=True)),
        donor(shared(keyless=True)),
        donor(disabled=True),
        donor(sharing_consent=None),
        donor(sharing_consent=replace(CONSENT, version="0")),
        donor(sharing_consent=replace(CONSENT, digest="0" * 64)),
    ],
)
async def test_what_its_owner_has_not_shared_or_restricts_serves_nobody(world: World, made: Donor) -> None:
    world.registry.donors = [made]
    assert await served_by(world) == NOBODY


async def test_a_provider_that_the_operator_does_not_list_serves_nobody() -> None:
    async with await start_simulator() as simulator:
        world = World(simulator)
        world.registry.donors = [donor()]
        async with world.running():
            assert await served_by(world) == NOBODY
            assert world.registry.donors_read == 0


async def test_the_next_request_goes_by_what_is_shared_then(world: World) -> None:
    assert await served_by(world) == SHARED
    world.registry.donors = [donor(shared(shared_version=None))]
    assert await served_by(world) == NOBODY
    world.registry.donors = [donor(sharing_consent=None)]
    assert await served_by(world) == NOBODY


async def test_the_work_is_spread_over_those_who_share(world: World) -> None:
    names = [f"donor-{n}" for n in range(4)]
    world.registry.donors = [
        donor(shared(account_id=each, alias=each, priority=n), account_id=each) for n, each in enumerate(names)
    ]
    for _ in range(40):
        assert await served_by(world) == SHARED
    used = [start.donation.account_id for start, _ in world.attempts.records if start.donation]
    assert {used.count(each) > 0 for each in names} == {True}


async def test_a_pool_of_the_donors_own_is_nobody_elses(world: World) -> None:
    world.registry.pools = {"openai": PoolStrategy.WEIGHTED}
    world.registry.donors = [donor(shared(), shared(alias="second", key="sk-sim-second-of-the-donor"))]
    for _ in range(20):
        assert await served_by(world) == SHARED
    assert len({start.donation.credential_id for start, _ in world.attempts.records if start.donation}) == 2


async def test_what_cannot_be_read_of_others_is_said_only_where_nothing_else_is(world: World) -> None:
    async def fails(*_: Any, **__: Any) -> list[Donor]:
        raise StoreUnavailable("The table cannot be read.")

    world.registry.read_donors = fails  # type: ignore[method-assign]
    assert (await world.post("/v1/chat/completions", CHAT)).status_code == 503
    world.registry.own = [credential("openai", "sk-unknown")]
    answer = await world.post("/v1/chat/completions", CHAT)
    assert answer.json()["error"]["code"] == "upstream_credentials_exhausted"


async def test_models_that_others_credentials_serve_are_listed(world: World) -> None:
    listed = {each["id"]: each for each in (await world.get("/v1/models")).json()["data"]}
    assert listed["gpt-4o-mini"]["routes"] == [{"provider": "openai", "source": "platform"}]
    world.registry.account = replace(world.registry.account, platform_allowed=False)
    assert (await world.get("/v1/models")).json()["data"] == []


# ── health


async def test_a_failure_marks_the_donors_credential_and_says_nothing_of_the_request(world: World) -> None:
    world.registry.donors = [donor(shared(key="sk-unknown-of-the-donor"))]
    await world.post("/v1/chat/completions", CHAT | {"user": "CANARY"})
    (mark,) = world.health.marks[DONOR].values()
    assert (mark.state, mark.code, mark.reason) == (HealthState.REJECTED, FaultKind.REFUSED, None)
    assert ACCOUNT not in world.health.marks
    assert await served_by(world) == NOBODY


async def test_a_mark_of_the_donors_own_traffic_keeps_it_from_serving_others(world: World) -> None:
    mark = Mark(HealthState.REJECTED, FaultKind.REFUSED, 0, None, "CANARY")
    world.health.marks[DONOR] = {credential_key("cred_CANARY-alias", 1): mark}
    answer = await world.post("/v1/chat/completions", CHAT)
    assert answer.status_code == 404
    assert "CANARY" not in answer.text


async def test_a_provider_that_fails_for_one_account_is_not_shut_to_the_owner(world: World) -> None:
    """Its requests may be what breaks it: the breaker opens for that account alone, until a second one fails too."""
    world.simulator.scripts.add("openai", key=KEY, fail="503")
    for _ in range(3):
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 503
    ((key, mark),) = world.health.marks[DONOR].items()
    assert (key.startswith("P#openai"), mark.state, mark.reason) == (True, HealthState.OPEN, None)
    assert mark.by == guest(ACCOUNT)
    assert ACCOUNT not in str(mark.by)
    assert await served_by(world) == NOBODY
    own = world.health.of(DONOR)
    assert own.look([key], world.health.now_ms()) == (None, {})
    assert own.seen_by(guest("another")).look([key], world.health.now_ms()) == (None, {})


async def test_another_donor_stands_in(world: World) -> None:
    bad = [
        donor(shared(account_id=f"d{n}", alias=f"d{n}", key=f"sk-unknown-{n}"), account_id=f"d{n}") for n in range(3)
    ]
    world.registry.donors = [*bad, donor()]
    assert await served_by(world) == SHARED


# ── what the client learns


def everything(world: World) -> str:
    """What the records of the client's account say, but for the part that no view shows."""
    return repr([(replace(start, donation=None), end) for start, end in world.attempts.records])


async def test_an_answer_names_nobody(world: World) -> None:
    answer = await world.post("/v1/chat/completions", CHAT)
    assert answer.headers["x-ownkey-credential"] == "shared"
    assert answer.headers["x-ownkey-credential-source"] == "platform"
    assert answer.headers["x-ownkey-byok"] == "false"
    assert not [name for name in answer.headers if "ratelimit" in name or "organization" in name]
    request_id = answer.headers["x-ownkey-request-id"]
    told = (await world.get(f"/v1/generation?id={request_id}")).json()["data"]
    (row,) = told["attempts"]
    assert (row["credential_id"], row["credential_version"], row["credential_alias"]) == ("shared", 0, "shared")
    assert "CANARY" not in answer.text + str(answer.headers) + json.dumps(told) + everything(world)


class Says(InPieces):
    """A provider that answers so, and names its customer wherever it can."""

    def __init__(self, status: int, body: Any, kind: str = "application/json") -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {
            "content-type": kind,
            "openai-organization": "org-CANARY",
            "x-ratelimit-limit-requests": "CANARY",
            "retry-after": "3",
        }

    async def send(self, request: Any) -> Any:
        self._reading = None
        return self

    async def read(self, most: int) -> bytes:
        return self.body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.body

    def close(self) -> None:
        return


async def told_by(says: Says, body: Any) -> tuple[int, str, World]:
    """The status of a request to such a provider, and all that whoever asked learns of it."""
    async with await start_simulator() as simulator:
        world = World(simulator)
        sharing = sharing_terms(world.catalog, ("openai",), 500)
        world.configure(sharing=sharing, ports=world.ports(says))  # type: ignore[arg-type]
        world.registry.donors = [donor()]
        async with world.running():
            answer = await world.post("/v1/chat/completions", body)
            kept = [each.reason for marks in world.health.marks.values() for each in marks.values()]
            assert set(kept) <= {None}
            return answer.status_code, answer.text + str(answer.headers) + everything(world), world


NAMES_ITS_CUSTOMER = {
    "message": "org-CANARY: project proj_CANARY of CANARY Inc. may not",
    "type": "CANARY",
    "code": "CANARY code",
    "param": "CANARY param",
}


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failure_passes_no_word_of_the_provider_on(status: int, streamed: bool) -> None:
    says = Says(status, {"error": NAMES_ITS_CUSTOMER})
    answered, told, _ = await told_by(says, CHAT | {"stream": streamed})
    assert answered >= 400
    assert f"with status {status}" in told
    assert "CANARY" not in told


async def test_a_streams_first_and_later_errors_pass_none_on_either() -> None:
    error = b"data: " + json.dumps({"error": NAMES_ITS_CUSTOMER}).encode() + b"\n\n"
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "gpt-4o-mini"}
    chunk["choices"] = [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]  # type: ignore[assignment]
    for stream in (error, b"data: " + json.dumps(chunk).encode() + b"\n\n" + error):
        _, told, world = await told_by(Says(200, stream, "text/event-stream"), CHAT | {"stream": True})
        assert world.attempts.records[0][1].error_code
        assert "CANARY" not in told


async def test_codes_and_parameters_of_the_known_shape_are_passed_on() -> None:
    known = {"message": "CANARY", "code": "context_length_exceeded", "param": "messages"}
    _, told, world = await told_by(Says(400, {"error": known}), CHAT)
    assert '"code":"context_length_exceeded"' in told
    assert '"param":"messages"' in told
    assert world.attempts.records[0][1].error_code == "context_length_exceeded"


async def test_a_vault_that_does_not_open_it_names_nobody(world: World) -> None:
    world.vault.sealed_for_good = {"cred_CANARY-alias"}
    answer = await world.post("/v1/chat/completions", CHAT)
    assert answer.status_code == 500
    assert "CANARY" not in answer.text + everything(world)
