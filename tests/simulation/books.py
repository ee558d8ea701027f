"""Everything re-counted from the records: by sums of this module's own, not by the ledger's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ownkey.domain.attempts import AttemptEnd, AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ledger import Cause, MovementKind, Posting
from ownkey.domain.limits import Measure
from ownkey.domain.usage import UsageSource
from ownkey.ledger.booking import booked_at
from ownkey.ledger.records import to_deposit, to_record, to_release
from ownkey.ledger.statements import to_posting
from ownkey.store.dynamodb import Item, decode_item
from tests.simulation.model import Change, Json, Place
from tests.support.audit import wrong_posting


class Broken(AssertionError):
    """Something that must hold at every step did not."""


@dataclass
class Watch:
    """What must hold after every single commit: no part of a balance is negative, and nothing is on its way."""

    names: Mapping[str, str]
    """Tables by what they are."""
    balances: Counter[str] = field(default_factory=Counter)
    """Available and held, over all sub-balances."""
    moved: Counter[str] = field(default_factory=Counter)
    """The same, over all movements."""
    open_nanousd: int = 0
    reserved: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the counter's key."""
    commits: int = 0

    def __call__(self, changes: Sequence[Change]) -> None:
        """Looks at one commit."""
        self.commits += 1
        touched: list[tuple[tuple[str, str], Item, Item]] = []
        reserving = dict[tuple[str, str], int]()
        for (table, pk, sk), old, new in changes:
            before, after = decode_item(old or {}), decode_item(new or {})
            if table == self.names["credits"]:
                self._credits(pk, sk, before, after)
            elif table == self.names["ledger"]:
                self._ledger(sk, before, after)
            elif table == self.names["counters"]:
                if pk.startswith("RSV#"):
                    self._reservation(pk.removeprefix("RSV#"), before, -1)
                    reserving |= self._reservation(pk.removeprefix("RSV#"), after, 1)
                else:
                    touched.append(((pk, sk), before, after))
        for at, before, item in touched:
            used, committed = item.get("used", 0), item.get("committed", 0)
            if before.get("committed", 0) < committed and committed > reserving.get(at, committed):
                raise Broken(f"counter {at}: {committed} reserved, of {reserving[at]}")
            if used < 0 or committed != used + self.reserved[at]:
                raise Broken(f"counter {at}: {used} used, {self.reserved[at]} reserved, {committed} committed")
        available, held = self.balances["available_nanousd"], self.balances["held_nanousd"]
        expected = self.moved["available_nanousd"] - self.open_nanousd
        if available != expected or held != self.moved["held_nanousd"] + self.open_nanousd:
            raise Broken(f"available {available}, held {held}; movements and open holds say {expected}, {self}")

    def look_at_balance(self, place: Place, old: Json | None, new: Json | None) -> None:
        """Looks at one change of the credits alone.

        Raises:
            Broken: a part of a balance is negative.
        """
        _, pk, sk = place
        self._credits(pk, sk, decode_item(old or {}), decode_item(new or {}))

    def _credits(self, pk: str, sk: str, before: Item, after: Item) -> None:
        if sk != "BALANCE":
            self.open_nanousd += after.get("amount_nanousd", 0) - before.get("amount_nanousd", 0)
            return
        for name in ("available_nanousd", "held_nanousd"):
            if after.get(name, 0) < 0:
                raise Broken(f"{pk} is negative: {after}")
            self.balances[name] += after.get(name, 0) - before.get(name, 0)

    def _ledger(self, sk: str, before: Item, after: Item) -> None:
        if before and before != after:
            raise Broken(f"posting {sk} was changed")
        for each in () if before else to_posting(after).movements:
            self.moved["available_nanousd"] += each.available_nanousd
            self.moved["held_nanousd"] += each.held_nanousd

    def _reservation(self, account_id: str, item: Item, sign: int) -> dict[tuple[str, str], int]:
        """Takes note of a reservation that came or went; gives the limits that it is of, by the counter's key."""
        limits = {}
        for claim in item.get("claims", ()):
            at = f"CNT#{account_id}#{claim['limit_id']}", f"{claim['window']}#{claim['period']}"
            self.reserved[at] += sign * claim.get("reserved", 0)
            limits[at] = claim["amount"]
        return limits


@dataclass(frozen=True)
class Books:
    """Every table's items, decoded, after the world has come to rest."""

    records: Sequence[Item]
    credits: Sequence[Item]
    ledger: Sequence[Item]
    rollups: Sequence[Item]
    counters: Sequence[Item]

    def differences(self, deposited: Mapping[str, int], told: Mapping[str, AttemptEnd], *, exact: bool) -> list[str]:
        """Everything that does not add up.

        Args:
            deposited: What the operator was told is paid in, by deposit.
            told: The ends that inference was told are written, by attempt.
            exact: Each request that was sent is counted where it is limited.
        """
        attempts = [to_record(each) for each in self.records if each["pk"].startswith("ATT#")]
        postings = [to_posting(each) for each in self.ledger]
        return [
            *_unfinished(attempts, self.records, self.credits, self.counters),
            *_untold(attempts, told),
            *_money(self.records, self.credits, postings, deposited),
            *_charges(attempts, postings),
            *_rewards(attempts, postings),
            *_aggregates(attempts, self.rollups),
            *_months(postings, self.rollups),
            *_limits(attempts, self.counters, exact=exact),
        ]


def _unfinished(
    attempts: Iterable[AttemptRecord], records: Iterable[Item], credits: Iterable[Item], counters: Iterable[Item]
) -> list[str]:
    left = [f"{each.start.attempt_id} never ended" for each in attempts if not each.end]
    left += [f"{each['sk']} was never counted" for each in records if "state" in each and "billed_at" not in each]
    left += [f"{each['sk']} is open" for each in credits if each["sk"] != "BALANCE"]
    return left + [f"{each['sk']} has reserved" for each in counters if each["pk"].startswith("RSV#")]


def _untold(attempts: Iterable[AttemptRecord], told: Mapping[str, AttemptEnd]) -> list[str]:
    ends = {each.start.attempt_id: each.end for each in attempts}
    return [
        f"{name}: {end} was written, {ends.get(name)} is there" for name, end in told.items() if ends.get(name) != end
    ]


def _money(
    records: Iterable[Item], credits: Iterable[Item], postings: Sequence[Posting], deposited: Mapping[str, int]
) -> list[str]:
    """What was paid in is what is there and what was taken; each deposit and each release is posted once."""
    wrong = []
    paid_in = {each.cause_id: each.movements[0].amount_nanousd for each in postings if each.cause is Cause.DEPOSIT}
    asked = {item["sk"]: to_deposit(item).amount_nanousd for item in records if item["pk"].startswith("DEP#")}
    lost = {name: amount for name, amount in deposited.items() if asked.get(name) != amount}
    if paid_in != asked or lost:
        wrong.append(f"deposits: {asked} asked for, {paid_in} paid in, {lost} lost")
    releases = Counter(
        (each.attempt_id, each.amount_nanousd)
        for each in (to_release(item) for item in records if item["pk"].startswith("REL#"))
    )
    released = [each for each in postings if each.cause is Cause.RELEASE]
    if releases != Counter((each.cause_id, each.movements[1].available_nanousd) for each in released):
        wrong.append(f"releases: {releases} were made, {released} are posted")
    balances = [each for each in credits if each["sk"] == "BALANCE"]
    left = sum(each["available_nanousd"] + each["held_nanousd"] for each in balances)
    charged = sum(each.get("charged_nanousd", 0) for each in balances)
    moved = Counter[bool]()
    for each in postings:
        for move in each.movements:
            moved[move.kind in (MovementKind.DEPOSIT, MovementKind.REWARD)] += move.amount_nanousd
    given, taken = moved[True], -moved[False]
    if given != left + taken or charged != taken:
        wrong.append(f"{given} paid in and earned; {left} left, {taken} taken, {charged} charged")
    return wrong


def _charges(attempts: Iterable[AttemptRecord], postings: Iterable[Posting]) -> list[str]:
    """Each attempt's posting says what its record does, and there is one."""
    wrong, by_attempt = list[str](), defaultdict[str, list[Posting]](list)
    released = {each.cause_id for each in postings if each.cause is Cause.RELEASE}
    for each in postings:
        if each.cause is Cause.ATTEMPT:
            by_attempt[each.cause_id].append(each)
    for record in attempts:
        name = record.start.attempt_id
        found = by_attempt.pop(name, [])
        if len(found) > 1:
            wrong.append(f"{name} is posted {len(found)} times")
        if record.end:
            wrong += wrong_posting(record, found[0] if found else None, released=name in released)
    return wrong + [f"a posting of {name}, which has no record" for name in by_attempt]


def _rewards(attempts: Iterable[AttemptRecord], postings: Iterable[Posting]) -> list[str]:
    """Each attempt on a shared credential that cost something is rewarded once, with its part."""
    given = Counter(
        (each.cause_id, each.movements[0].amount_nanousd) for each in postings if each.cause is Cause.REWARD
    )
    due = Counter[tuple[str, int]]()
    for record in attempts:
        donation = record.start.donation
        amount = round(Fraction(record.end.cost_nanousd * 5, 100)) if donation and record.end else 0
        due.update([(donation.reward_id, amount)] if donation and amount else [])
    return [] if given == due else [f"rewards: {given - due} too many, {due - given} missing"]


def _aggregates(attempts: Iterable[AttemptRecord], rollups: Iterable[Item]) -> list[str]:
    expected = defaultdict[tuple[str, str], Counter[str]](Counter)
    for record in attempts:
        start, end = record.start, record.end
        if end is None:
            continue
        request, byok = start.request, start.source is CredentialSource.BYOK
        at = booked_at(end.ended_at, record.billed_at)
        late = at != end.ended_at
        adds = Counter(
            attempts=1,
            requests=start.number == 0,
            succeeded=end.outcome is Outcome.SUCCEEDED,
            failed=end.outcome is not Outcome.SUCCEEDED,
            byok_attempts=byok,
            platform_attempts=not byok,
            estimated_attempts=end.usage_source is UsageSource.ESTIMATED,
            cost_byok_nanousd=end.cost_nanousd * byok,
            cost_platform_nanousd=end.cost_nanousd * (not byok),
            charge_nanousd=end.charge_nanousd,
            latency_ms=end.latency_ms,
            late_attempts=late,
            late_charge_nanousd=end.charge_nanousd * late,
            **end.usage.to_item(),
        )
        values = {
            ("source", start.source.value),
            ("gateway_key", request.gateway_key_id),
            ("model", f"{start.provider_id}/{start.model_id}"),
            ("credential", f"{start.credential_id}@{start.credential_version}"),
            *(("user", user) for user in [request.user] if user),
            *(("tag", tag) for tag in request.tags),
        }
        for dimension, value in values:
            for unit, chars in (("H", 13), ("D", 10), ("M", 7)):
                if unit != "H" or dimension == "source":
                    place = f"ROLLUP#{request.account_id}#{dimension}", f"{unit}#{at[:chars]}#{value}"
                    expected[place].update(adds)
    stored = {(each["pk"], each["sk"]): _counts(each) for each in rollups if not each["pk"].endswith("#movement")}
    return _compared("aggregate", stored, {place: +counts for place, counts in expected.items()})


def _months(postings: Iterable[Posting], rollups: Iterable[Item]) -> list[str]:
    expected = defaultdict[tuple[str, str], Counter[str]](Counter)
    for posting in postings:
        counts = expected[f"ROLLUP#{posting.account_id}#movement", f"M#{posting.at[:7]}"]
        counts["overrun_nanousd"] += posting.overrun_nanousd
        for each in posting.movements:
            counts[f"{each.kind}_count"] += 1
            counts[f"{each.kind}_available_nanousd"] += each.available_nanousd
            counts[f"{each.kind}_held_nanousd"] += each.held_nanousd
    stored = {(each["pk"], each["sk"]): _counts(each) for each in rollups if each["pk"].endswith("#movement")}
    wanted = {at: Counter({name: n for name, n in counts.items() if n}) for at, counts in expected.items()}
    return _compared("month", stored, wanted)


def _limits(attempts: Iterable[AttemptRecord], counters: Iterable[Item], *, exact: bool) -> list[str]:
    """What is used of each limit, requests over all its periods: they may count where a later attempt began."""
    expected = Counter[tuple[str, str]]()
    requests = defaultdict[str, set[str]](set)
    for record in attempts:
        start, end = record.start, record.end
        for claim in start.claims if end else ():
            assert end is not None
            limit = f"CNT#{start.request.account_id}#{claim.limit_id}"
            period = f"{claim.window}#{claim.period}"
            match claim.measure:
                case Measure.TOKENS:
                    expected[limit, period] += end.usage.input + end.usage.cache_read + end.usage.output
                case Measure.SPEND:
                    byok = start.source is CredentialSource.BYOK
                    expected[limit, period] += end.cost_nanousd if byok else end.charge_nanousd
                case Measure.REQUESTS if claim.reserved is None:
                    expected[limit, period] += start.number == 0
                case Measure.REQUESTS:
                    requests[limit].add(start.request.request_id)
    stored, counted = dict[tuple[str, str], int](), Counter[str]()
    wrong = []
    for item in counters:
        if not item["pk"].startswith("CNT#"):
            continue
        used, committed = item.get("used", 0), item.get("committed", 0)
        if committed != used:
            wrong.append(f"{item['pk']} {item['sk']}: {committed} committed, {used} used")
        if item["pk"].endswith("_hard_requests"):
            counted[item["pk"]] += used
        else:
            stored[item["pk"], item["sk"]] = used
    wrong += _compared("limit", {at: n for at, n in stored.items() if n}, {at: n for at, n in expected.items() if n})
    if exact:
        wrong += _compared(
            "requests", {at: n for at, n in counted.items() if n}, {at: len(each) for at, each in requests.items()}
        )
    return wrong


def _counts(item: Item) -> Counter[str]:
    return Counter({name: count for name, count in item.items() if isinstance(count, int)})


def _compared(what: str, stored: Mapping[Any, Any], expected: Mapping[Any, Any]) -> list[str]:
    return [
        f"{what} {at}: {stored.get(at)} stored, {expected.get(at)} by the records"
        for at in sorted({*stored, *expected})
        if stored.get(at) != expected.get(at)
    ]
