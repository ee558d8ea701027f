"""Tokens in hand: kept while they live, renewed beside a request, one exchange at a time, never more than the bound."""

from __future__ import annotations

import asyncio

import pytest

from ownkey.domain.errors import CredentialsExhausted
from ownkey.domain.secrets import Secret
from ownkey.tokens.held import HELD_TOKENS, HeldTokens, Minted, TokenKey

KEY = TokenKey("acc_1", "cred_1", 1, b"digest")


class Mint:
    """An exchange that can be held up, and counts."""

    def __init__(self, lifetime_s: float = 900) -> None:
        self.lifetime_s = lifetime_s
        self.began = 0
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> Minted:
        self.began += 1
        number = self.began
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return Minted({"key": Secret(f"token {number}")}, self.lifetime_s)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(clock: Clock) -> HeldTokens:
    return HeldTokens(clock)


async def got(held: HeldTokens, mint: Mint, key: TokenKey = KEY, *, fresh: bool = False) -> str:
    return (await held.get(key, mint, fresh=fresh))["key"].reveal()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_warm_request_makes_no_exchange(held: HeldTokens) -> None:
    mint = Mint()
    assert [await got(held, mint) for _ in range(50)] == ["token 1"] * 50
    assert mint.began == 1


async def test_requests_at_the_same_time_share_one_exchange(held: HeldTokens) -> None:
    mint = Mint()
    mint.may_answer.clear()
    waiting = [asyncio.create_task(got(held, mint)) for _ in range(20)]
    await settle()
    mint.may_answer.set()
    assert await asyncio.gather(*waiting) == ["token 1"] * 20
    assert mint.began == 1


async def test_whoever_gives_up_takes_the_exchange_from_nobody(held: HeldTokens) -> None:
    mint = Mint()
    mint.may_answer.clear()
    first, second = (asyncio.create_task(got(held, mint)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    mint.may_answer.set()
    assert await second == "token 1"
    assert first.cancelled()
    assert mint.began == 1


async def test_a_failed_exchange_is_everyones_and_the_next_request_tries_again(held: HeldTokens) -> None:
    mint = Mint()
    mint.error = CredentialsExhausted("refused")
    failed = await asyncio.gather(*(got(held, mint) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failed] == [CredentialsExhausted] * 3
    mint.error = None
    assert await got(held, mint) == "token 2"
    assert mint.began == 2


async def test_near_its_end_a_token_is_renewed_beside_the_request(held: HeldTokens, clock: Clock) -> None:
    mint = Mint(lifetime_s=3600)
    await got(held, mint)
    clock.now_s += 3600 - 301
    assert await got(held, mint) == "token 1"
    assert mint.began == 1
    clock.now_s += 2
    mint.may_answer.clear()
    assert await got(held, mint) == "token 1"
    await settle()
    assert mint.began == 2
    mint.may_answer.set()
    await settle()
    assert await got(held, mint) == "token 2"


async def test_a_short_token_is_renewed_in_its_second_half(held: HeldTokens, clock: Clock) -> None:
    mint = Mint(lifetime_s=60)
    await got(held, mint)
    clock.now_s += 29
    await got(held, mint)
    await settle()
    assert mint.began == 1
    clock.now_s += 1
    await got(held, mint)
    await settle()
    assert mint.began == 2


async def test_a_token_that_ends_is_waited_for(held: HeldTokens, clock: Clock) -> None:
    mint = Mint(lifetime_s=900)
    await got(held, mint)
    clock.now_s += 900 - 30
    assert await got(held, mint) == "token 2"


async def test_a_renewal_that_fails_leaves_the_old_token_and_is_tried_again_later(
    held: HeldTokens, clock: Clock
) -> None:
    mint = Mint(lifetime_s=900)
    await got(held, mint)
    mint.error = CredentialsExhausted("refused")
    clock.now_s += 601
    for _ in range(10):
        assert await got(held, mint) == "token 1"
        await settle()
    assert mint.began == 2
    clock.now_s += 5
    mint.error = None
    assert await got(held, mint) == "token 1"
    await settle()
    assert await got(held, mint) == "token 3"


async def test_an_exchange_that_was_frozen_with_its_function_is_left_behind(held: HeldTokens, clock: Clock) -> None:
    mint = Mint(lifetime_s=900)
    await got(held, mint)
    mint.may_answer.clear()
    clock.now_s += 700
    await got(held, mint)
    await settle()
    stuck, mint.may_answer = mint.may_answer, asyncio.Event()
    mint.may_answer.set()
    clock.now_s += 900
    assert await got(held, mint) == "token 3"
    stuck.set()
    await settle()
    assert mint.began == 3


async def test_a_fresh_token_is_wanted_whatever_is_in_hand(held: HeldTokens) -> None:
    mint = Mint()
    await got(held, mint)
    assert await got(held, mint, fresh=True) == "token 2"
    assert await got(held, mint) == "token 2"


async def test_tokens_of_other_accounts_credentials_versions_and_facts_never_meet(held: HeldTokens) -> None:
    mint = Mint()
    keys = [
        KEY,
        KEY._replace(account_id="acc_2"),
        KEY._replace(credential_id="cred_2"),
        KEY._replace(version=2),
        KEY._replace(digest=b"other"),
    ]
    assert [await got(held, mint, key) for key in keys] == [f"token {n}" for n in range(1, 6)]
    assert [await got(held, mint, key) for key in keys] == [f"token {n}" for n in range(1, 6)]


async def test_a_forgotten_token_is_had_anew(held: HeldTokens) -> None:
    mint = Mint()
    other = KEY._replace(version=2)
    await got(held, mint)
    await got(held, mint, other)
    held.forget("acc_1", "cred_1", 1)
    assert await got(held, mint, other) == "token 2"
    assert await got(held, mint) == "token 3"


async def test_the_least_lately_used_go_first(held: HeldTokens) -> None:
    mint = Mint()
    keys = [KEY._replace(credential_id=f"cred_{n}") for n in range(HELD_TOKENS)]
    for key in keys:
        await got(held, mint, key)
    await got(held, mint, keys[0])
    await got(held, mint, KEY._replace(credential_id="one more"))
    began = mint.began
    await got(held, mint, keys[0])
    assert mint.began == began
    await got(held, mint, keys[1])
    assert mint.began == began + 1
