"""Sharing on the running stack: who shares is rewarded, who is served is charged, and neither learns of the other."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import openai
import pytest

from ownkey.domain.money import parse_usd
from ownkey.domain.sharing import Donation
from ownkey.store import keys
from tests.e2e.accounts import Account, Json, SavedKey, said
from tests.e2e.world import SHARING_PROVIDER as PROVIDER
from tests.e2e.world import World

MODEL = "mistral-small-latest"
CHAT: Json = {"model": MODEL, "messages": said("Hello there"), "max_tokens": 50}


class Donor:
    """An account that shares, with a word of its own in everything that it may name."""

    def __init__(self, world: World) -> None:
        self.account = world.account(owner="dora@donor-canary.example")
        self.api = self.account.owner
        self.api.ok("PATCH", f"/api/accounts/{self.account.id}", {"name": "donor-canary"})
        self.key: SavedKey = self.account.save_key(PROVIDER, alias="donor-canary")

    def consent(self) -> None:
        text = self.api.ok("GET", "/api/sharing")["consent_text"]
        self.api.ok("PUT", "/api/sharing/consent", {name: text[name] for name in ("version", "digest")})

    def share(self, *, shared: bool = True) -> None:
        self.api.ok("PUT", f"/api/byok/{self.key.id}/sharing", {"shared": shared})

    def words(self) -> list[str]:
        """What names it."""
        return ["donor-canary", self.account.id, self.key.id, self.key.saved["mask"], self.account.gateway_key_id]

    def readable(self) -> str:
        """Everything that it may read."""
        paths = (
            "activity",
            "ledger",
            "usage",
            "audit",
            "balance",
            "byok",
            "gateway-keys",
            "sharing",
            "sharing/rewards",
        )
        month = self.api.ok("GET", "/api/statements/months")["data"]
        statements = [self.api.ok("GET", f"/api/statements?month={each['month']}") for each in month]
        dimensions = [
            self.api.ok("GET", f"/api/usage?dimension={each}")
            for each in ("gateway_key", "model", "credential", "app", "user", "tag", "source")
        ]
        read = [self.api.ok("GET", f"/api/{path}") for path in paths]
        export = self.api.call("GET", "/api/audit/export?format=csv").text
        headers = {"authorization": f"Bearer {self.account.gateway_key}"}
        own = [
            self.account.world.http("GET", f"/v1/{path}", headers=headers).text for path in ("key", "credits", "models")
        ]
        return json.dumps([read, statements, dimensions, own]) + export


@pytest.fixture
def donor(world: World) -> Iterator[Donor]:
    made = Donor(world)
    made.consent()
    made.share()
    yield made
    made.share(shared=False)


@pytest.fixture
def stranger(world: World) -> Account:
    return world.account(owner="sam@stranger-canary.example", credits_usd="1")


def refused(account: Account) -> str:
    with pytest.raises(openai.NotFoundError) as raised:
        account.openai().chat.completions.create(**CHAT)
    return str(raised.value.code)


def test_a_strangers_request_is_served_and_the_donor_is_rewarded_to_the_nano_dollar(
    world: World, donor: Donor, stranger: Account
) -> None:
    raw = stranger.openai().chat.completions.with_raw_response.create(**CHAT)
    answer = raw.parse()
    assert answer.choices[0].message.content == "You said: Hello there"
    assert len(world.calls(donor.key.key)) == 1

    row = stranger.attempt(raw.headers["x-ownkey-request-id"])
    cost, charge = parse_usd(row["cost_usd"]), parse_usd(row["charge_usd"])
    assert 0 < cost < charge
    assert stranger.balance()["total_usd"] == 1 - Decimal(row["charge_usd"])

    reward = Donation("", "", 1, "", 500).reward(cost)
    (entry,) = donor.account.entries()
    assert (entry["kind"], entry["cause"], parse_usd(entry["amount_usd"])) == ("reward", "reward", reward)
    assert {name: parse_usd(str(each)) for name, each in donor.account.balance().items()} == {
        "available_usd": reward,
        "held_usd": 0,
        "total_usd": reward,
    }
    (given,) = donor.api.ok("GET", "/api/sharing/rewards")["data"]
    assert (given["provider"], given["model"], parse_usd(given["amount_usd"])) == (PROVIDER, MODEL, reward)
    assert (given["state"], given["earned_at"][13:]) == ("billed", ":00:00Z")


def test_a_stream_earns_as_well(world: World, donor: Donor, stranger: Account) -> None:
    chunks = list(stranger.openai().chat.completions.create(stream=True, **CHAT))
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "You said: Hello there"
    (row,) = stranger.attempts()
    assert donor.account.balance()["total_usd"] * 10**9 == Donation("", "", 1, "", 500).reward(
        parse_usd(row["cost_usd"])
    )


def test_no_longer_to_share_holds_on_the_very_next_request(world: World, donor: Donor, stranger: Account) -> None:
    for _ in range(3):
        assert stranger.post("/v1/chat/completions", CHAT).status_code == 200
        donor.share(shared=False)
        assert refused(stranger) == "no_byok_key"
        donor.share()
    donor.api.ok("DELETE", "/api/sharing/consent")
    assert refused(stranger) == "no_byok_key"
    donor.consent()
    assert stranger.post("/v1/chat/completions", CHAT).status_code == 200
    donor.api.ok("PATCH", f"/api/byok/{donor.key.id}", {"disabled": True})
    assert refused(stranger) == "no_byok_key"
    assert len(world.calls(donor.key.key)) == 4


def test_an_account_that_keeps_to_its_own_keys_and_the_donor_itself_are_not_served(
    world: World, donor: Donor, stranger: Account
) -> None:
    stranger.owner.ok("PATCH", "/api/settings", {"platform_allowed": False})
    assert refused(stranger) == "no_byok_key"
    own = donor.account.post("/v1/chat/completions", CHAT)
    assert (own.status_code, own.headers["x-ownkey-byok"]) == (200, "true")
    world.drain()
    assert donor.account.entries() == []


def test_neither_learns_of_the_other(world: World, donor: Donor, stranger: Account) -> None:
    """Everything that either may read, after an answer, a stream and failures of every kind; and nothing was cached."""
    world.cool_down()  # the first request has the credential unwrapped, which the donor's log tells
    headers = {"x-title": "stranger-canary", "x-ownkey-tags": "stranger-canary", "user-agent": "stranger-canary"}
    marked = CHAT | {"user": "stranger-canary", "messages": said("stranger-canary")}
    told = []
    for streamed in (False, True):
        told.append(stranger.post("/v1/chat/completions", marked | {"stream": streamed}, headers=headers))
    for kind in ("400", "429", "context_length", "503", "403", "401"):
        world.script(PROVIDER, key=donor.key.key, fail=kind, echo_key=True, times=1)
        told.append(stranger.post("/v1/chat/completions", marked, headers=headers))
        world.forget_health(donor.account.id)
    assert [each.status_code < 400 for each in told] == [True, True, *[False] * 6]
    world.drain()

    strangers_words = ["stranger-canary", stranger.id, stranger.gateway_key_id, stranger.gateway_key]
    strangers_words += [each.headers["x-ownkey-request-id"] for each in told]
    readable = donor.readable()
    assert [word for word in strangers_words if word in readable] == []
    (unwrapped,) = donor.api.ok("GET", "/api/audit?action=credential.unwrapped&actor=inference")["data"]
    assert (unwrapped["request_id"], unwrapped["source_ip"], unwrapped["details"].get("shared")) == (None, None, True)

    seen = "".join(f"{each.headers}{each.text}" for each in told)
    mine = {"headers": {"authorization": f"Bearer {stranger.gateway_key}"}}
    paths = [f"/v1/generation?id={each.headers['x-ownkey-request-id']}" for each in told[:2]]
    seen += "".join(world.http("GET", path, **mine).text for path in [*paths, "/v1/key", "/v1/credits", "/v1/models"])
    for path in ("activity", "ledger", "usage?dimension=credential", "audit", "statements/months", "sharing"):
        seen += json.dumps(stranger.owner.ok("GET", f"/api/{path}"))
    assert [word for word in donor.words() if word in seen] == []
    assert {row["credential_id"] for row in stranger.attempts()} == {"shared"}


def test_a_key_that_fails_for_strangers_is_marked_for_its_owner(world: World, donor: Donor, stranger: Account) -> None:
    world.set_key(PROVIDER, donor.key.key, False)
    assert stranger.post("/v1/chat/completions", CHAT).status_code == 502
    world.rest()  # the mark is written beside the answer
    card = donor.api.ok("GET", f"/api/byok/{donor.key.id}")
    assert (card["status"], card["status_code"], card["status_reason"]) == ("rejected", "refused", None)
    assert refused(stranger) == "no_byok_key"


def test_upkeep_recomputes_what_was_earned(world: World, donor: Donor) -> None:
    account_id = f"zy{secrets.token_hex(6)}"  # behind nearly all others: the day's turn begins with it
    operator = world.operator(account_id)
    operator.ok("POST", "/api/accounts", {"id": account_id, "name": "last"})
    operator.ok("POST", f"/api/accounts/{account_id}/deposits", {"amount_usd": "1"})
    world.drain()
    key = operator.ok("POST", "/api/gateway-keys", {"alias": "test"})
    account = Account(world, account_id, operator, key["key"], key["id"])
    assert account.post("/v1/chat/completions", CHAT).status_code == 200
    world.drain()
    today = datetime.now(UTC).date().isoformat()
    note = {"first": {"S": today}, "last": {"S": today}, "after": {"S": "zy"}, "at_work": {"S": ""}}
    at = {"pk": {"S": keys.SWEEP_PARTITION}, "sk": {"S": "verified"}}
    records = world.up.stack.resources["RecordsTable"]
    world.dynamodb().put_item(TableName=records, Item={**at, **note, "done": {"BOOL": False}})
    done = world.upkeep("verify")
    assert (done["accounts"] >= 1, done["unverified"], done["left"]) == (True, 0, 0)
    assert operator.ok("GET", "/api/audit", params={"action": "ledger.differs"})["data"] == []
