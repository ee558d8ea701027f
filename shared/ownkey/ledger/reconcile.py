"""What was recorded against what the provider reports: variance, what explains it, and what nothing explains. Pure.

Both sides are valued at the same rates, so that a variance is one of usage and never of arithmetic:

```
variance of a day and credential = Σ over models (value of reported usage − value of recorded usage)
                                 + what was charged beyond that, where the bill tells keys apart
```
What may explain it is counted in the records, and explains no more than it could have cost (`docs/reconciliation.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ownkey.catalog import PriceList
from ownkey.domain.reconciliation import (
    Charge,
    Explanation,
    ModelRow,
    ProviderKey,
    Recorded,
    ReportLine,
    Row,
)
from ownkey.domain.usage import USAGE_BUCKETS, Usage
from ownkey.ledger.pricing import Unpriced, price
from ownkey.ledger.recorded import Cells

PRICE_PERCENT = 5
"""By how much a bill may differ from the same usage at our prices: rounding, tiers, taxes on the line."""
TOLERANCE_PERMILLE = 5
"""Of what was recorded: too little to look for."""
MIN_HINT_CHARS = 3
"""Of a key's end that both sides must show before they are taken for the same."""

Worth = Callable[[str, str, Usage], int | None]
"""Credential, model, usage → nano-dollars at the price list's plain rates; None: there is no price."""
Pricing = Callable[[str, str], PriceList | None]


@dataclass(frozen=True, slots=True)
class Matched:
    """Which credential each of the provider's API keys is."""

    credentials: Mapping[str, str] = field(default_factory=dict)
    """API key id → credential id."""
    ambiguous: tuple[str, ...] = ()
    """API keys for which there is more than one answer."""


def matched(keys: Iterable[ProviderKey], masks: Mapping[str, Sequence[str]], known: Mapping[str, str]) -> Matched:
    """API keys matched to credentials by what both show of them.

    Args:
        masks: Credential id → the masks of its versions.
        known: API keys that were matched before: the credential may have another secret by now, or be gone.
    """
    keys = list({key.id: key for key in keys}.values())
    fitting = {
        key.id: [credential for credential, shown in masks.items() if any(_fit(key.hint, each) for each in shown)]
        for key in keys
    }
    # Each version of a credential is one key: several keys for one mask cannot be told apart.
    takers: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        for credential in fitting[key.id]:
            for each in masks[credential]:
                if _fit(key.hint, each):
                    takers.setdefault((credential, each), []).append(key.id)
    crowded = {key_id for key_ids in takers.values() if len(key_ids) > 1 for key_id in key_ids}
    found = {key_id: credentials[0] for key_id, credentials in fitting.items() if len(credentials) == 1}
    certain = {key_id: credential for key_id, credential in found.items() if key_id not in crowded}
    unclear = {key_id for key_id, credentials in fitting.items() if len(credentials) > 1} | crowded
    return Matched({**known, **certain}, tuple(sorted(unclear - known.keys())))


def plain_worth(pricing: Pricing) -> Worth:
    """What usage is worth at the lowest rung and standard tier: the same for one request and for a sum of many."""

    def worth(credential_id: str, model: str, usage: Usage) -> int | None:
        prices = pricing(credential_id, model)
        if prices is None:
            return None if usage != Usage() else 0
        fees = {name: fee for name, fee in prices.fees.items() if name != "request"}
        try:
            return price(usage, replace(prices, steps=prices.steps[:1], off_peak=None, fees=fees)).total_nanousd
        except Unpriced:
            return None

    return worth


def rows(
    day: str,
    cells: Cells,
    lines: Iterable[ReportLine],
    charges: Iterable[Charge],
    match: Matched,
    worth: Worth,
    *,
    final: bool,
    bill_by_key: bool,
    usage_by_key: bool,
) -> list[Row]:
    """One row a credential, and one for each API key that is no credential's.

    Where the report tells no keys apart there is one row for all: what it says is not of Ownkey's credentials alone.
    """
    if not usage_by_key:
        return _in_sum(day, cells, [charge for charge in charges if charge.day == day], final=final)
    reported: dict[str, list[ReportLine]] = {}
    billed: dict[str, int] = {}
    for line in lines:
        if line.day == day:
            reported.setdefault(line.api_key_id or "", []).append(line)
    for charge in charges:
        if charge.day == day and bill_by_key:
            billed[charge.api_key_id or ""] = billed.get(charge.api_key_id or "", 0) + charge.amount_nanousd
    own: dict[str, list[str]] = {credential: [] for credential, _ in cells}
    others: list[str] = []
    for key_id in sorted(reported.keys() | billed.keys()):
        credential = match.credentials.get(key_id)
        if credential is None:
            others.append(key_id)
        else:
            own.setdefault(credential, []).append(key_id)
    made = []
    for credential, key_ids in [*sorted(own.items()), *((None, [key_id]) for key_id in others)]:
        of_credential = {model: cell for (owner, model), cell in cells.items() if owner == credential}
        made.append(
            _row(
                day,
                credential,
                key_ids,
                of_credential,
                [line for key_id in key_ids for line in reported.get(key_id, ())],
                sum(billed.get(key_id, 0) for key_id in key_ids) if bill_by_key else None,
                worth,
                final=final,
            )
        )
    return made


def _in_sum(day: str, cells: Cells, charges: Sequence[Charge], *, final: bool) -> list[Row]:
    recorded = sum(cell.cost for cell in cells.values())
    charged = sum(charge.amount_nanousd for charge in charges)
    row = Row(day, None, (), final, recorded, charged, charged - recorded, {}, 0, unpriced_surplus=False, models=())
    return [row] if recorded or charged else []


def _row(
    day: str,
    credential: str | None,
    key_ids: Sequence[str],
    cells: Mapping[str, Recorded],
    lines: Sequence[ReportLine],
    charged: int | None,
    worth: Worth,
    *,
    final: bool,
) -> Row:
    models = _models(credential or "", cells, lines, worth)
    recorded_cost = sum(cell.cost for cell in cells.values())
    surplus_of_use = sum(each.reported_nanousd - each.recorded_nanousd for each in models)
    unpriced = any(not each.priced and each.reported_tokens and not each.recorded_requests for each in models)
    row = Row(
        day=day,
        credential_id=credential,
        api_key_ids=tuple(key_id for key_id in key_ids if key_id),
        final=final,
        recorded_nanousd=recorded_cost,
        charged_nanousd=charged,
        variance_nanousd=surplus_of_use,
        explained={},
        unexplained_nanousd=surplus_of_use,
        unpriced_surplus=unpriced,
        models=tuple(models),
    )
    if credential is None:
        # Others' business: what it cost is told, and nothing is looked for.
        amount = max(surplus_of_use, charged or 0)
        return replace(row, variance_nanousd=amount, unexplained_nanousd=0)
    explained, left = _explained(surplus_of_use, list(cells.values()), final=final)
    beyond = _charged_beyond(charged, recorded_cost, surplus_of_use, unpriced=any(c.unpriced for c in cells.values()))
    if final and beyond > 0:
        within = min(beyond, (recorded_cost + max(0, surplus_of_use)) * PRICE_PERCENT // 100)
        explained = {**explained, Explanation.PRICE: within} if within else explained
        return replace(
            row,
            variance_nanousd=surplus_of_use + beyond,
            explained=explained,
            unexplained_nanousd=left + beyond - within,
        )
    return replace(row, explained=explained, unexplained_nanousd=left)


def _models(
    credential: str, cells: Mapping[str, Recorded], lines: Sequence[ReportLine], worth: Worth
) -> list[ModelRow]:
    used: dict[str, Usage] = {}
    calls: dict[str, int] = {}
    for line in lines:
        model = line.model or ""
        used[model] = _sum(used.get(model, Usage()), line.usage)
        calls[model] = calls.get(model, 0) + line.calls
    models = []
    for model in sorted(cells.keys() | used.keys()):
        cell = cells.get(model, Recorded())
        recorded, reported = Usage.from_item(cell.usage), used.get(model, Usage())
        values = [_value(credential, (model, cell.priced_as), usage, worth) for usage in (recorded, reported)]
        priced = None not in values
        models.append(
            ModelRow(
                model,
                (values[0] or 0) if priced else 0,
                (values[1] or 0) if priced else 0,
                recorded.total_tokens,
                reported.total_tokens,
                cell.attempts,
                calls.get(model, 0),
                priced,
            )
        )
    return models


def _value(credential: str, names: Sequence[str], usage: Usage, worth: Worth) -> int | None:
    """By the model that answered, else by the one that was asked for."""
    values = (worth(credential, name, usage) for name in names if name)
    return next((value for value in values if value is not None), None)


def _explained(variance: int, cells: Sequence[Recorded], *, final: bool) -> tuple[dict[Explanation, int], int]:
    """How much of a variance each explanation can carry, in their order; and what is left."""
    explained, left = dict[Explanation, int](), variance
    for explanation, most in _allowances(variance, cells, final=final):
        part = min(abs(left), most)
        if part > 0:
            explained[explanation] = part if left > 0 else -part
            left -= explained[explanation]
    return explained, left


def _allowances(variance: int, cells: Sequence[Recorded], *, final: bool) -> list[tuple[Explanation, int]]:
    """At most how many nano-dollars each could be, either way."""
    cost = sum(cell.cost for cell in cells)
    # An attempt whose usage nobody told may have cost what the answered ones of the day did on average.
    told = sum(cell.mean_of for cell in cells)
    told_cost = cost - sum(cell.estimated_cost for cell in cells)
    mean = told_cost // told if told else 0

    def at_most(number: int, known: int) -> int:
        return max(known, number * mean)

    estimated = at_most(sum(c.estimated for c in cells), sum(c.estimated_cost for c in cells))
    missing = [
        (Explanation.NOT_FINAL, abs(variance) if not final else 0),
        (Explanation.ESTIMATED, sum(c.estimated_cost for c in cells)),
    ]
    more = [
        (Explanation.UNDER_WAY, at_most(sum(c.under_way for c in cells), sum(c.under_way_cost for c in cells))),
        (Explanation.ESTIMATED, estimated),
        (Explanation.FAILED, at_most(sum(c.failed for c in cells), sum(c.failed_cost for c in cells))),
    ]
    either = [
        (Explanation.MIDNIGHT, sum(c.midnight_cost for c in cells)),
        (Explanation.TOLERANCE, cost * TOLERANCE_PERMILLE // 1000),
    ]
    return [*(more if variance > 0 else missing), *either]


def _charged_beyond(charged: int | None, recorded: int, surplus_of_use: int, *, unpriced: bool) -> int:
    """What the bill has beyond what was recorded and what was reported besides: usage that is told in no tokens.

    Nothing can be said where attempts had no price: the bill has one.
    """
    if charged is None or unpriced:
        return 0
    return max(0, charged - recorded - max(0, surplus_of_use))


def _fit(hint: str, mask: str) -> bool:
    """Whether two partly hidden texts can be of one key: their heads and their tails agree as far as both show them."""
    here, there = _ends(hint), _ends(mask)
    heads = sorted((here[0], there[0]), key=len)
    tails = sorted((here[1], there[1]), key=len)
    return len(tails[0]) >= MIN_HINT_CHARS and heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])


def _ends(shown: str) -> tuple[str, str]:
    """What stands before and behind the hidden part; nothing where nothing is hidden."""
    plain = shown.replace("…", "...")
    for mark in ("...", "*"):
        if mark in plain:
            head, _, rest = plain.partition(mark)
            return head, rest.rpartition(mark)[2].lstrip(mark[0])
    return "", ""


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(**{bucket: getattr(one, bucket) + getattr(other, bucket) for bucket in USAGE_BUCKETS})
