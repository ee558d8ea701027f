"""An entry of litellm's price file -> a row of models.json. Pure; numbers are exact from their text on.

A row has, where they differ from what most models have (text in, text out, chat):

```
{"mode": "embedding", "context": 8191, "max_output": 4096, "can": "tools vision", "in": "text image", "out": "text",
 "prices": {"": {"input": "2.5"}, ">200000": {…}, "flex": {…}, "flex>200000": {…}}, "fees": {"request": "0.005"},
 "uplifts": {"geo:us": "1.1"}, "off_peak": {"windows": [["12345", "10:00", "24:00"]], "rates": {…}},
 "retires": "2027-01-31"}
```

Prices are USD per million tokens, fees USD a unit. A row may also be a string: the id of another with the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

from tools.catalog.vocabulary import (
    CAPABILITIES,
    ENTRY_FIELD,
    ENTRY_UPLIFTS,
    FEES,
    FEES_OF_MODES,
    INPUT_BUCKETS,
    MODES,
    OFF_PEAK_FIELD,
    OUTPUT_BUCKETS,
    PICTURE_MODE,
    PICTURE_PRICES,
    RATE_FIELD,
    RATES,
    REGION_FIELD,
    REGIONAL_FIELD,
    REGIONAL_UPLIFT,
    SERVICE_TIERS,
    STREAMING_MODES,
    TIERS_FIELD,
    WEB_SEARCH_FEES,
    WEB_SEARCH_FIELD,
    ZONES,
    left_out,
    speaks_of_money,
)

Entry = Mapping[str, Any]
Row = dict[str, Any]
Sheets = dict[tuple[str, int], dict[str, Decimal]]
"""(service tier, above how many tokens) -> bucket -> USD per million tokens."""

_NONE: Mapping[str, str] = {}
_MTOK = 1_000_000
_FINEST = Decimal("1e-9")
_MEANT = Context(prec=12)
"""Digits of a price that somebody meant: what stands behind them was left by somebody else's binary arithmetic."""
_ALIKE = Decimal("1.05")
"""Rates of a region within this factor of each other are one price, rounded apart."""
_MOST = Decimal(2)
"""No region costs more than this many times another: a larger factor is a slip of the price file."""
_FACTOR = Context(prec=4)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_SIZED = re.compile(r"^(?:\w+/)?(?:low|medium|high|standard|hd|\d+-x-\d+)/")


class UnknownPriceFieldError(Exception):
    """The price file has a price-like field, or a value, that nobody has decided about."""


def provider_rows(
    entries: Mapping[str, Entry],
    litellm: str | Sequence[str],
    *,
    prefix: str | None = None,
    bare_ids: bool = False,
    both_ids: bool = False,
    ids: str = ".*",
    regional: str | None = None,
    inclusive_thresholds: bool = False,
    uplifts: Mapping[str, str] = _NONE,
    free: str = "",
) -> dict[str, Row]:
    """The rows of one provider, by the provider's own model ids.

    Args:
        entries: The price file.
        litellm: `litellm_provider` of the entries wanted; several names where the file divides a provider's models.
        prefix: What stands before a model's id in a key, without its slash. None: the (first) name.
        bare_ids: Its models' keys are their ids; else they are `<prefix>/<id>`. The file's keys of the other kind
            name classes of models and repeat others, and are no models.
        both_ids: Keys of either kind are its models; one that is there twice is as its longer key says.
        ids: What the ids wanted match as a whole.
        regional: What stands before a region in keys of the prices there: `<regional>/<region>/<id>`.
        inclusive_thresholds: A context tier begins at its threshold, not above it.
        uplifts: Factors on all its models' rates that the file does not have.
        free: What the ids match as a whole of models that the vendor gives away. Any other that the file has at 0 and
            nothing else has no known price: 0 is also what those write who found none.
    """
    names = (litellm,) if isinstance(litellm, str) else tuple(litellm)
    before = f"{prefix or names[0]}/"
    wanted = re.compile(ids)
    rows: dict[str, Row] = {}
    keys = sorted(key for key, entry in entries.items() if entry.get("litellm_provider") in names)
    for key in sorted(keys, key=lambda key: key.startswith(before)):
        entry, model_id = entries[key], key.removeprefix(before)
        is_model = both_ids or key.startswith(before) != bare_ids
        if is_model and entry.get("mode") in MODES and not _SIZED.match(key) and wanted.fullmatch(model_id):
            facts = row(entry, inclusive_thresholds=inclusive_thresholds)
            rows[model_id] = facts if _costs(facts) or re.fullmatch(free, model_id) else _unpriced(facts)
    for model_id, facts in rows.items():
        there = _regional_uplifts(entries, f"{regional}/", model_id) if regional else {}
        if "prices" in facts and (more := {**uplifts, **there, **facts.get("uplifts", {})}):
            facts["uplifts"] = more
    return dict(sorted(rows.items()))


def _costs(facts: Row) -> bool:
    """Whether anything of a model has a price above 0."""
    sheets = (*facts.get("prices", {}).values(), facts.get("fees", {}))
    return any(Decimal(price) for sheet in sheets for price in sheet.values())


def _unpriced(facts: Row) -> Row:
    return {name: fact for name, fact in facts.items() if name not in ("prices", "fees", "uplifts", "off_peak")}


def _regional_uplifts(entries: Mapping[str, Entry], before: str, model_id: str) -> dict[str, str]:
    """The factors of regions where a model costs more: the largest of its rates', where they are about the same."""
    here, found = entries[model_id], {}
    for key in sorted(key for key in entries if key.startswith(before) and key.endswith(f"/{model_id}")):
        region = key[len(before) : -len(model_id) - 1]
        there = entries[key]
        factors = [Decimal(there[name]) / Decimal(here[name]) for name in RATES if here.get(name) and there.get(name)]
        if factors and _REGION.fullmatch(region) and 1 < max(factors) <= min(_MOST, min(factors) * _ALIKE):
            found[f"region:{region}"] = f"{_FACTOR.plus(max(factors)).normalize():f}"
    return found


def row(entry: Entry, *, inclusive_thresholds: bool = False) -> Row:
    """One entry as a row.

    Raises:
        UnknownPriceFieldError: see the class.
    """
    _check_fields(entry)
    mode = entry["mode"]
    facts: Row = {
        "mode": mode if mode != "chat" else None,
        "context": _integer(entry.get("max_input_tokens")),
        "max_output": _integer(entry.get("max_output_tokens")),
        "can": " ".join(_capabilities(entry)),
        "in": _unless("text", " ".join(_input_modalities(entry))),
        "out": _unless("text", " ".join(_output_modalities(entry))),
        "prices": encode_sheets(complete(_sheets(entry, inclusive_thresholds=inclusive_thresholds))),
        "fees": _decimals(_fees(entry)),
        "uplifts": _decimals(_uplifts(entry)),
        "off_peak": _off_peak(entry),
        "retires": entry.get("deprecation_date"),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _check_fields(entry: Entry) -> None:
    known = {*FEES, WEB_SEARCH_FIELD, OFF_PEAK_FIELD, ENTRY_FIELD, REGIONAL_FIELD, TIERS_FIELD}
    for name in entry:
        if speaks_of_money(name) and not (
            name in known or RATE_FIELD.match(name) or REGION_FIELD.match(name) or left_out(name)
        ):
            raise UnknownPriceFieldError(f"{name} (as in an entry of {entry.get('litellm_provider')})")


# ── Prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sheets(entry: Entry, *, inclusive_thresholds: bool) -> Sheets:
    sheets: Sheets = {}
    for name, per_token in entry.items():
        if (match := RATE_FIELD.match(name)) and per_token is not None:
            above = int(match["above_k"] or 0) * 1000
            above -= 1 if above and inclusive_thresholds else 0
            sheet = sheets.setdefault((SERVICE_TIERS.get(match["tier"] or "", ""), above), {})
            sheet[RATES[match["rate"]]] = _per_mtok(per_token)
    for tier in entry.get(TIERS_FIELD) or ():
        sheets["", int(tier["range"][0])] = _tier_rates(tier)
    for sheet in sheets.values():
        _drop_free_writes(sheet)
    return sheets


def _tier_rates(tier: Entry) -> dict[str, Decimal]:
    if unknown := tier.keys() - RATES.keys() - {"range"}:
        raise UnknownPriceFieldError(f"{TIERS_FIELD}: {', '.join(sorted(unknown))}")
    return {RATES[name]: _per_mtok(per_token) for name, per_token in tier.items() if name in RATES}


def _per_mtok(per_token: Any) -> Decimal:
    return _MEANT.plus(Decimal(per_token)) * _MTOK


def _drop_free_writes(sheet: dict[str, Decimal]) -> None:
    """A write price of 0 beside a price for input means that writing costs nothing *more*: input is still paid."""
    for bucket in ("cache_write_5m", "cache_write_1h"):
        if sheet.get(bucket) == 0 and sheet.get("input"):
            del sheet[bucket]


def complete(sheets: Sheets) -> Sheets:
    """The same with every sheet complete in itself, so that reading one never needs another.

    A rate that a tier or rung leaves out keeps its proportion to that side's plain rate (a batch at half price halves
    the price of its cache writes); a rung that a tier leaves out keeps the proportion of the tier to the standard one.
    That is how providers word it; docs/decisions/0004-catalog.md has how well it predicts the rates that are named.
    """
    base = sheets.get(("", 0))
    if base is None:
        return {}
    rungs = sorted(above for tier, above in sheets if tier == "")
    full = {("", above): _in_proportion(sheets["", above], like=base) for above in rungs}
    for tier in sorted({tier for tier, _ in sheets if tier}):
        plain = _in_proportion(sheets.get((tier, 0), {}), like=base)
        for above in rungs:
            stated = sheets.get((tier, above), {})
            full[tier, above] = _in_proportion(stated, like=full["", above], otherwise=(plain, base))
    return full


def _in_proportion(
    stated: Mapping[str, Decimal],
    *,
    like: Mapping[str, Decimal],
    otherwise: tuple[Mapping[str, Decimal], Mapping[str, Decimal]] = ({}, {}),
) -> dict[str, Decimal]:
    """`stated`, and what it lacks of `like`, scaled as the plain rates are to those of `like`.

    Where `stated` has no plain rate, they are scaled as those of the pair `otherwise` are to each other.
    """
    filled = dict(stated)
    for side in (INPUT_BUCKETS, OUTPUT_BUCKETS):
        now, before = (stated, like) if side[0] in stated else otherwise
        for bucket in side:
            if bucket not in stated and bucket in like:
                filled[bucket] = _scaled(like[bucket], now.get(side[0]), before.get(side[0]))
    return filled


def _scaled(rate: Decimal, now: Decimal | None, before: Decimal | None) -> Decimal:
    """`rate` x `now` / `before`; `rate` itself where there is no such proportion."""
    if now is None or not before:
        return rate
    with localcontext() as context:
        context.prec = 40
        return (rate * now / before).quantize(_FINEST).normalize()


def encode_sheets(sheets: Sheets) -> dict[str, dict[str, str]]:
    """Sheets by their keys in models.json: `<tier>`, or `<tier>><above_tokens>`."""
    return {f"{tier}>{above}" if above else tier: _rates(sheet) for (tier, above), sheet in sorted(sheets.items())}


def _fees(entry: Entry) -> dict[str, Decimal]:
    names = {**FEES, **FEES_OF_MODES.get(entry["mode"], {})}
    if entry["mode"] == PICTURE_MODE and not any(entry.get(name) for name in PICTURE_PRICES):
        names["input_cost_per_image"] = "image_output"
    fees = {fee: Decimal(entry[name]) for name, fee in names.items() if entry.get(name)}
    searches = entry.get(WEB_SEARCH_FIELD) or {}
    return fees | {fee: Decimal(searches[name]) for name, fee in WEB_SEARCH_FEES.items() if searches.get(name)}


def _uplifts(entry: Entry) -> dict[str, Decimal]:
    numbers = (entry.get(ENTRY_FIELD) or {}).items()
    factors = {name: factor for name, factor in numbers if isinstance(factor, int | Decimal)}
    if unknown := factors.keys() - ENTRY_UPLIFTS.keys():
        raise UnknownPriceFieldError(f"{ENTRY_FIELD}: {', '.join(sorted(unknown))}")
    regions = {
        f"region:{match['region']}": Decimal(factor)
        for name, factor in entry.items()
        if (match := REGION_FIELD.match(name))
    }
    if entry.get(REGIONAL_FIELD):
        regions[REGIONAL_UPLIFT] = Decimal(entry[REGIONAL_FIELD])
    return {ENTRY_UPLIFTS[name]: Decimal(factor) for name, factor in factors.items()} | regions


def _off_peak(entry: Entry) -> Row | None:
    block = entry.get(OFF_PEAK_FIELD)
    if block is None:
        return None
    if unknown := block.keys() - RATES.keys() - {"windows", "weekday_timezone"}:
        raise UnknownPriceFieldError(f"{OFF_PEAK_FIELD}: {', '.join(sorted(unknown))}")
    if any("_above_" in name for name in entry if RATE_FIELD.match(name) and "1hr" not in name):
        raise UnknownPriceFieldError(f"{OFF_PEAK_FIELD} beside context tiers")
    rates = {RATES[name]: _per_mtok(per_token) for name, per_token in block.items() if name in RATES}
    if (zone := block.get("weekday_timezone", "UTC")) not in ZONES:
        raise UnknownPriceFieldError(f"{OFF_PEAK_FIELD}: weekdays of {zone}")
    return {"windows": list(_windows(block["windows"], ZONES[zone])), "rates": _rates(rates)}


def _windows(rules: Iterable[Entry], hours_ahead: int) -> Iterable[list[str]]:
    """Windows in UTC, of hours in UTC on weekdays that begin so many hours earlier than there."""
    midnight = f"{24 - hours_ahead:02}:00"
    for rule in rules:
        hours = [rule["hours_utc"]] if isinstance(rule["hours_utc"], str) else rule["hours_utc"]
        for stretch in hours:
            start, _, end = stretch.partition("-")
            end = "24:00" if end == "00:00" else end
            if start < midnight:
                yield [_days(rule["weekdays"]), start, min(end, midnight)]
            if end > midnight:
                yield [_days((day - 2) % 7 + 1 for day in rule["weekdays"]), max(start, midnight), end]


def _days(weekdays: Iterable[int]) -> str:
    return "".join(str(day) for day in sorted(weekdays))


def _rates(sheet: Mapping[str, Decimal]) -> dict[str, str]:
    return _decimals({bucket: sheet[bucket] for bucket in (*INPUT_BUCKETS, *OUTPUT_BUCKETS) if bucket in sheet})


def _decimals(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Plain decimal strings, without an exponent or trailing zeros."""
    return {name: f"{amount.normalize():f}" for name, amount in amounts.items()}


# ── What it can do ───────────────────────────────────────────────────────────────────────────────────────────────────


def _capabilities(entry: Entry) -> Iterable[str]:
    yield from (name for flag, name in CAPABILITIES.items() if entry.get(flag))
    if entry["mode"] in STREAMING_MODES and entry.get("supports_native_streaming") is not False:
        yield "streaming"


def _input_modalities(entry: Entry) -> Iterable[str]:
    if stated := entry.get("supported_modalities"):
        yield from stated
    else:
        yield "audio" if entry["mode"] == "audio_transcription" else "text"
        yield from ("image",) if entry.get("supports_vision") else ()
        yield from ("audio",) if entry.get("supports_audio_input") and entry["mode"] == "chat" else ()
    yield from ("file",) if entry.get("supports_pdf_input") else ()


def _output_modalities(entry: Entry) -> Iterable[str]:
    if stated := entry.get("supported_output_modalities"):
        yield from (each for each in stated if each != "code")  # which is text
        return
    by_mode = {"image_generation": "image", "audio_speech": "audio", "embedding": "embedding"}
    yield by_mode.get(entry["mode"], "text")
    yield from ("audio",) if entry.get("supports_audio_output") and entry["mode"] == "chat" else ()


def _integer(number: Any) -> int | None:
    return None if number is None else int(number)


def _unless(usual: str, text: str) -> str | None:
    return None if text == usual else text


# ── Rows that say the same ───────────────────────────────────────────────────────────────────────────────────────────


def share(rows: Mapping[str, Row]) -> dict[str, Row | str]:
    """The rows, with those that repeat another's facts (a snapshot, an alias) naming that other instead."""
    first: dict[str, str] = {}
    for model_id in sorted(rows, key=lambda name: (len(name), name)):
        first.setdefault(repr(rows[model_id]), model_id)
    shared: dict[str, Row | str] = {}
    for model_id, facts in rows.items():
        origin = first[repr(facts)]
        shared[model_id] = facts if origin == model_id else origin
    return shared
