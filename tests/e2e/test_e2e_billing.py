"""What was used, what it cost, who paid: the SDK's usage, the attempt, the ledger and the aggregates tell one story.

Expected costs are worked out by hand from the vendors' prices a million tokens, which is micro-dollars a token.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import openai
import pytest

from ownkey.domain.ids import REQUEST, new_id
from ownkey.domain.ledger import Hold
from ownkey.ledger.holds import Holds
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from tests.e2e.accounts import Account, said
from tests.e2e.stage import chunk
from tests.e2e.surfaces import BOTH, CHAT, MESSAGES, Surface
from tests.e2e.world import World
from tests.support.aws import environ

NANO = Decimal(10) ** 9


@dataclass(frozen=True)
class Case:
    """A usage that the provider reports, and its price."""

    surface: Surface
    model: str
    knobs: str
    cost_nanousd: int
    charge_nanousd: int
    """With 5 % margin, half a nano-dollar to the even one."""
    buckets: dict[str, int]

    def ask(self, account: Account, *, streamed: bool) -> Any:
        """The SDK's raw answer."""
        more = {"stream_options": {"include_usage": True}} if streamed and self.surface is CHAT else {}
        return self.surface.raw(account, f"[[sim: {self.knobs}]]", model=self.model, stream=streamed, **more)

    def usage(self, answer: Any, *, streamed: bool) -> dict[str, Any]:
        """The last usage that the SDK sees."""
        if not streamed:
            return answer.parse().usage.to_dict()
        with answer.parse() as stream:
            return [each.usage for each in stream if getattr(each, "usage", None)][-1].to_dict()


CASES = {
    "gpt-4o-mini, cached": Case(
        CHAT,
        "gpt-4o-mini",
        "input_tokens=1001 cached_tokens=300 output_tokens=77",
        # 701 × 0.15 + 300 × 0.075 + 77 × 0.60
        173_850,
        182_542,
        {"input": 701, "cache_read": 300, "output": 77},
    ),
    "gpt-5.4-mini, reasoning": Case(
        CHAT,
        "gpt-5.4-mini",
        "input_tokens=2000 cached_tokens=1024 output_tokens=333 reasoning_tokens=200",
        # 976 × 0.75 + 1024 × 0.075 + 333 × 4.50
        2_307_300,
        2_422_665,
        {"input": 976, "cache_read": 1024, "output": 133, "reasoning": 200},
    ),
    "gpt-6.1-sol, beyond its first tier": Case(
        CHAT,
        "gpt-6.1-sol",
        "input_tokens=300000 output_tokens=100",
        # above 272,000 tokens: 300000 × 4 + 100 × 15
        1_201_500_000,
        1_261_575_000,
        {"input": 300_000, "output": 100},
    ),
    "claude-haiku-4-5, all caches": Case(
        MESSAGES,
        "claude-haiku-4-5",
        "input_tokens=5003 cached_tokens=1000 cache_write_tokens=700 cache_write_1h_tokens=301 output_tokens=201",
        # 3002 × 1 + 1000 × 0.10 + 700 × 1.25 + 301 × 2 + 201 × 5
        5_584_000,
        5_863_200,
        {"input": 3002, "cache_read": 1000, "cache_write_5m": 700, "cache_write_1h": 301, "output": 201},
    ),
    "claude-opus-4-8": Case(
        MESSAGES,
        "claude-opus-4-8",
        "input_tokens=12 output_tokens=7",
        # 12 × 5 + 7 × 25
        235_000,
        246_750,
        {"input": 12, "output": 7},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
streamed = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def nanousd(dollars: Any) -> int:
    return round(Decimal(str(dollars)) * NANO)


class TestOneRequest:
    @cases
    @streamed
    def test_on_an_own_key_is_reported_and_not_charged(self, world, case, streamed):
        account = world.account(credits_usd="5")
        account.save_key(case.surface.provider)
        answer = case.ask(account, streamed=streamed)
        usage = case.usage(answer, streamed=streamed)
        assert (usage["is_byok"], usage["cost"]) == (True, 0)
        assert nanousd(usage["cost_details"]["upstream_inference_cost"]) == case.cost_nanousd
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (nanousd(attempt["cost_usd"]), attempt["charge_usd"]) == (case.cost_nanousd, "0")
        assert self.buckets(attempt["usage"]) == case.buckets
        assert attempt["price_version"]
        (row,) = account.usage()
        assert (nanousd(row["cost_byok_usd"]), row["cost_platform_usd"], row["charge_usd"]) == (
            case.cost_nanousd,
            "0",
            "0",
        )
        assert self.buckets(row["usage"]) == case.buckets
        assert [each["kind"] for each in account.entries()] == ["deposit"]
        assert account.balance() == {"available_usd": 5, "held_usd": 0, "total_usd": 5}

    @cases
    @streamed
    def test_on_the_platforms_key_costs_five_percent_more(self, world, case, streamed):
        account = world.account(credits_usd="5")
        answer = case.ask(account, streamed=streamed)
        usage = case.usage(answer, streamed=streamed)
        assert (usage["is_byok"], nanousd(usage["cost"])) == (False, case.charge_nanousd)
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert nanousd(attempt["cost_usd"]) == case.cost_nanousd
        assert nanousd(attempt["charge_usd"]) == case.charge_nanousd
        (row,) = account.usage()
        assert (row["cost_byok_usd"], nanousd(row["cost_platform_usd"]), nanousd(row["charge_usd"])) == (
            "0",
            case.cost_nanousd,
            case.charge_nanousd,
        )
        entries = {each["kind"]: each for each in account.entries()}
        back = entries.pop("release", {"available_usd": "0"})  # the simulator may use more than was asked for
        assert list(entries) == ["margin", "settle", "hold", "deposit"], "the newest first"
        margin_nanousd = case.charge_nanousd - case.cost_nanousd
        assert nanousd(entries["settle"]["amount_usd"]) == -case.cost_nanousd
        assert nanousd(entries["margin"]["amount_usd"]) == -margin_nanousd
        assert entries["settle"]["cause_id"].startswith(answer.headers["x-ownkey-request-id"])
        assert (entries["settle"]["overrun_usd"], entries["deposit"]["amount_usd"]) == ("0", "5")
        rest = nanousd(entries["hold"]["held_usd"]) - case.charge_nanousd
        assert nanousd(back["available_usd"]) == max(0, rest)
        left = 5 - Decimal(case.charge_nanousd) / NANO
        assert account.balance() == {"available_usd": left, "held_usd": 0, "total_usd": left}

    def buckets(self, usage: dict[str, int]) -> dict[str, int]:
        return {name: count for name, count in usage.items() if not name.endswith("_tokens")}


class TestWhatIsMissing:
    @streamed
    def test_usage_that_the_provider_keeps_to_itself_is_estimated(self, world, streamed):
        account = world.account()
        account.save_key("OpenAI")
        answer = CHAT.raw(account, "[[sim: no_usage chunks=40]] tell me", stream=streamed)
        list(CHAT.pieces(answer.parse(), streamed=streamed))
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["outcome"], attempt["usage_source"]) == ("succeeded", "estimated")
        assert attempt["usage"]["input_tokens"] > 0
        assert 20 <= attempt["usage"]["output_tokens"] <= 120
        assert account.usage()[0]["estimated_attempts"] == 1

    def test_a_price_that_nobody_knows_is_not_zero_but_unknown(self, account):
        account.save_key("Groq")
        answer = CHAT.raw(account, model="groq/some-new-model")
        details = answer.parse().usage.to_dict()["cost_details"]
        assert details["upstream_inference_cost"] is None
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["price_version"], attempt["cost_usd"]) == (None, "0")
        assert attempt["usage"]["input_tokens"] > 0
        assert account.usage()[0]["unpriced_attempts"] == 1

    def test_what_a_server_of_ones_own_used_is_kept(self, world, account):
        scene = world.scene()
        account.save_key("openai-compatible", base_url=scene.base_url)
        scene.send(chunk("hi", finish="stop"))
        scene.send(chunk(usage={"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}), b"data: [DONE]\n\n")
        scene.end()
        answer = CHAT.raw(account, model="openai-compatible/any", stream=True)
        assert list(CHAT.pieces(answer.parse(), streamed=True)) == ["hi"]
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["usage"]["input_tokens"], attempt["usage"]["output_tokens"]) == (21, 2)

    def test_a_model_without_a_price_is_not_sold(self, world):
        account = world.account(credits_usd="5")
        refusal = CHAT.refused(account, model="groq/some-new-model")
        assert (refusal.status, refusal.code) == (404, "no_credential")


class TestBreakingOff:
    """On the platform's key: what was generated is paid for, however it ended."""

    @BOTH
    def test_a_stream_that_the_provider_cuts_is_charged_by_estimate(self, world, surface):
        account = world.account(credits_usd="5")
        answer = surface.raw(account, "[[sim: chunks=60 cut_after=40 cut_mode=eof]]", stream=True)
        pieces = surface.pieces(answer.parse(), streamed=True)
        assert len(list(itertools.islice(pieces, 40))) == 40
        with pytest.raises(surface.errors.APIError):
            next(pieces)
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["outcome"], attempt["usage_source"]) == ("broken", "estimated")
        assert attempt["usage"]["output_tokens"] >= 20
        self.check_settled(account, attempt)

    @BOTH
    def test_a_client_that_leaves_pays_what_the_provider_says(self, world, surface):
        account = world.account(credits_usd="5")
        answer = surface.raw(account, "[[sim: chunks=6 delay_ms=20 output_tokens=4321]]", stream=True)
        assert next(surface.pieces(answer.parse(), streamed=True)) == "w0"
        answer.http_response.close()
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert attempt["outcome"] in {"cancelled", "succeeded"}  # as far as API Gateway tells the function
        assert (attempt["usage_source"], attempt["usage"]["output_tokens"]) == ("provider", 4321)
        self.check_settled(account, attempt)

    @BOTH
    def test_a_refusal_costs_nothing_and_its_hold_is_given_back(self, world, surface):
        account = world.account(credits_usd="5")
        refusal = surface.refused(account, "[[sim: fail=400]]")
        attempt = account.attempt(refusal.request_id)
        assert (attempt["outcome"], attempt["source"], attempt["charge_usd"]) == ("refused", "platform", "0")
        assert account.balance() == {"available_usd": 5, "held_usd": 0, "total_usd": 5}
        assert [each["kind"] for each in account.entries()] == ["release", "hold", "deposit"]

    def check_settled(self, account: Account, attempt: dict[str, Any]) -> None:
        charge = Decimal(attempt["charge_usd"])
        assert charge > 0
        assert account.balance() == {"available_usd": 5 - charge, "held_usd": 0, "total_usd": 5 - charge}
        assert nanousd(account.usage()[0]["charge_usd"]) == nanousd(charge)


class TestManyRequests:
    def traffic(self, account: Account) -> list[dict[str, Any]]:
        """Requests of every kind; their attempts."""
        for surface in (CHAT, MESSAGES):
            for is_streamed in (False, True):
                surface.ask(account, "some words", stream=is_streamed)
            surface.refused(account, "[[sim: fail=400]]")
        return account.attempts()

    def check(self, account: Account, attempts: list[dict[str, Any]], deposited: Decimal) -> None:
        """Activity, aggregates, ledger and balance agree to the nano-dollar."""
        (total,) = account.usage()
        assert total["attempts"] == total["succeeded"] + total["failed"] == len(attempts)
        assert total["requests"] == len({each["request_id"] for each in attempts})
        charge = sum(nanousd(each["charge_usd"]) for each in attempts)
        assert nanousd(total["charge_usd"]) == charge
        for source in ("byok", "platform"):
            cost = sum(nanousd(each["cost_usd"]) for each in attempts if each["source"] == source)
            assert nanousd(total[f"cost_{source}_usd"]) == cost
            assert total[f"{source}_attempts"] == len([each for each in attempts if each["source"] == source])
        for name in ("input_tokens", "output_tokens"):
            assert total["usage"][name] == sum(each["usage"][name] for each in attempts)
        for dimension in ("model", "credential", "gateway_key"):
            rows = account.usage(dimension)
            assert sum(row["attempts"] for row in rows) == len(attempts)
            assert sum(nanousd(row["charge_usd"]) for row in rows) == charge
        entries = account.entries()
        moved = sum(nanousd(each["amount_usd"]) for each in entries)
        assert moved == nanousd(deposited) - charge == nanousd(account.balance()["total_usd"])
        assert sum(nanousd(each["held_usd"]) for each in entries) == 0
        charged = {each["cause_id"] for each in entries if each["kind"] == "settle"}
        assert len(charged) == len([each for each in attempts if each["charge_usd"] != "0"])

    def test_add_up(self, world):
        account = world.account(credits_usd="5")
        platform = self.traffic(account)
        account.save_key("OpenAI")
        account.save_key("Anthropic")
        attempts = self.traffic(account)
        assert len(attempts) == 2 * len(platform) == 12
        assert {each["billed_at"] is not None for each in attempts} == {True}
        self.check(account, attempts, Decimal(5))

    def test_add_up_though_the_stream_delivers_every_batch_twice(self, world):
        account = world.account(credits_usd="5")
        # What is left of them repeats batches of later tests, which must not mind either.
        world.call(world.up.stack.repeat_batches, 20)
        attempts = self.traffic(account)
        world.operator(account.id).ok("POST", f"/api/accounts/{account.id}/deposits", {"amount_usd": "0.25"})
        self.check(account, attempts, Decimal("5.25"))

    def test_are_told_apart_by_app_and_user(self, account):
        account.save_key("OpenAI")
        client = account.openai(default_headers={"HTTP-Referer": "https://app.example", "X-Title": "My app"})
        client.chat.completions.create(model="gpt-4o-mini", messages=said("hi"), user="ann")
        assert [(row["value"], row["requests"]) for row in account.usage("app")] == [("https://app.example", 1)]
        assert [(row["value"], row["requests"]) for row in account.usage("user")] == [("ann", 1)]


class TestCostMode:
    def test_a_gateway_key_may_see_the_providers_cost_as_the_cost(self, world):
        account = world.account()
        account.save_key("OpenAI")
        made = account.owner.ok("POST", "/api/gateway-keys", {"alias": "costs", "usage_cost_mode": "provider"})
        answer = CHAT.raw(Account(world, account.id, account.owner, made["key"], made["id"]))
        usage = answer.parse().usage.to_dict()
        assert (nanousd(usage["cost"]), usage["cost_details"]["upstream_inference_cost"]) == (3_600, None)
        assert account.attempt(answer.headers["x-ownkey-request-id"])["charge_usd"] == "0"


class TestHolds:
    def test_credits_are_held_while_an_answer_is_under_way(self, world):
        account = world.account(credits_usd="5")
        client = account.openai().chat.completions
        asked = {"model": "gpt-4o", "max_tokens": 1000, "messages": said("[[sim: chunks=3 hang_after=2]]")}
        with client.create(**asked, stream=True) as stream:
            next(iter(stream))
            held = Decimal(account.owner.ok("GET", "/api/balance")["held_usd"])
            # At least a thousand tokens of output at $10 a million, and the margin.
            assert held >= Decimal("0.0105")
            assert Decimal(account.owner.ok("GET", "/api/balance")["total_usd"]) == 5

    def test_an_answer_dearer_than_the_credits_is_not_begun(self, world):
        account = world.account(credits_usd="0.01")
        refusal = CHAT.refused(account, model="gpt-4o", max_tokens=16_000)
        assert (refusal.status, refusal.code) == (402, "insufficient_credits")
        assert CHAT.ask(account, model="gpt-4o", max_tokens=100) == "You said: hello"

    def test_what_a_dead_function_holds_is_given_back_at_once_and_posted(self, world):
        account = world.account(credits_usd="0.025")
        self.die_holding(world, account, Decimal("0.025"))
        assert account.balance()["available_usd"] == 0
        assert CHAT.ask(account, model="gpt-4o", max_tokens=100) == "You said: hello"
        entries = [each for each in account.entries() if each["cause"] == "release"]
        assert [(each["kind"], each["held_usd"]) for each in entries] == [("release", "-0.025"), ("hold", "0.025")]
        assert account.balance()["held_usd"] == 0

    def test_credits_in_sixteen_places_are_spent_as_one(self, world):
        account = world.account(credits_usd="0.05")
        world.dynamodb().update_item(
            TableName=world.up.stack.resources["RegistryTable"],
            Key={"pk": {"S": f"ACCT#{account.id}"}, "sk": {"S": "HEAD"}},
            UpdateExpression="SET credit_shards = :shards",
            ExpressionAttributeValues={":shards": {"N": "16"}},
        )
        for _ in range(8):
            assert CHAT.ask(account, model="gpt-4o", max_tokens=100) == "You said: hello"
        assert account.balance()["held_usd"] == 0
        # The deposit went to the first, and what was given back is wherever it was held.
        assert CHAT.ask(account, model="gpt-4o", max_tokens=4_000) == "You said: hello"
        refusal = CHAT.refused(account, model="gpt-4o", max_tokens=5_000)
        assert (refusal.status, refusal.code) == (402, "insufficient_credits")
        left = Decimal("0.05") - sum(Decimal(each["charge_usd"]) for each in account.attempts())
        assert account.balance() == {"available_usd": left, "held_usd": 0, "total_usd": left}

    def die_holding(self, world: World, account: Account, dollars: Decimal) -> None:
        """Leaves what a function leaves that placed its hold, wrote nothing else and is past its deadline."""
        names = world.up.stack.resources

        async def hold() -> None:
            aws = AwsClient(environ=environ(world.up.state.aws_endpoint))
            holds = Holds(DynamoDb(aws), credits_table=names["CreditsTable"], records_table=names["RecordsTable"])
            await holds.place(Hold(account.id, f"{new_id(REQUEST)}#00", nanousd(dollars), 1))
            await aws.close()

        asyncio.run(hold())

    async def test_credits_never_go_below_zero_however_many_ask_at_once(self, world):
        account = world.account(credits_usd="0.025")
        # Each holds a thousand tokens of output at $10 a million and the margin: two fit, and use less.
        asked = {"model": "gpt-4o", "max_tokens": 1000, "messages": said("[[sim: header_ms=400 output_tokens=900]] hi")}
        async with account.async_openai() as client:
            asking = (client.chat.completions.create(**asked) for _ in range(5))
            answers = await asyncio.gather(*asking, return_exceptions=True)
        refused = [each for each in answers if isinstance(each, openai.APIStatusError)]
        assert [(each.status_code, each.code) for each in refused] == [(402, "insufficient_credits")] * 3
        charge = sum(Decimal(each["charge_usd"]) for each in account.attempts())
        left = Decimal("0.025") - charge
        assert account.balance() == {"available_usd": left, "held_usd": 0, "total_usd": left}
        assert left > 0


def test_a_deposit_is_the_operators_and_arrives_through_billing(world: World):
    account = world.account(owner="payer@example.com")
    path, body = f"/api/accounts/{account.id}/deposits", {"amount_usd": "12.345678901"}
    assert account.owner.refused("POST", path, body)[0] == 403
    assert world.operator(account.id).ok("POST", path, body)["state"] == "requested"
    assert account.balance()["available_usd"] == Decimal("12.345678901")
    (entry,) = account.entries()
    assert (entry["kind"], entry["amount_usd"]) == ("deposit", "12.345678901")
