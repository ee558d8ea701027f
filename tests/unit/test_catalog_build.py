"""The build: from an entry of the price file to a row, from a row of the table to a checked one, and what stops it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ownkey.catalog import Catalog
from tools.catalog import build, oracle, providers
from tools.catalog.__main__ import main
from tools.catalog.oracle import Disagreement, SignOff
from tools.catalog.source import Pins, SourceError, parse, price_file
from tools.catalog.transform import UnknownPriceFieldError, complete, provider_rows, row, share

PRICE_FILE = """{
  "sample_spec": {"litellm_provider": "one of these", "mode": "one of those"},
  "gpt-4o-mini": {
    "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
    "input_cost_per_token": 1.5e-07, "cache_read_input_token_cost": 7.5e-08, "output_cost_per_token": 6e-07,
    "input_cost_per_token_priority": 2.5e-07, "output_cost_per_token_priority": 1e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_high": 0.03},
    "supports_function_calling": true, "supports_vision": true, "supports_pdf_input": true, "supports_reasoning": false
  },
  "gpt-4o-mini-2024-07-18": {
    "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
    "cache_read_input_token_cost": 7.5e-08, "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07,
    "output_cost_per_token_priority": 1e-06, "input_cost_per_token_priority": 2.5e-07,
    "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_high": 0.03},
    "supports_function_calling": true, "supports_vision": true, "supports_pdf_input": true
  },
  "text-embedding-3-small": {
    "litellm_provider": "openai", "mode": "embedding", "max_input_tokens": 8191, "input_cost_per_token": 2e-08
  },
  "1024-x-1024/gpt-image-1": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1e-08},
  "openai/sora-2": {"litellm_provider": "openai", "mode": "video_generation", "output_cost_per_video_per_second": 0.1},
  "openai/container": {"litellm_provider": "openai", "mode": "chat", "code_interpreter_cost_per_session": 0.03},
  "groq/openai/gpt-oss-120b": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 1.5e-07},
  "groq-default": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 1e-06}
}"""
ENTRIES = parse(PRICE_FILE.encode())


def entry(**fields: object) -> dict[str, object]:
    return {"litellm_provider": "acme", "mode": "chat", "supports_native_streaming": False, **fields}


class TestPrices:
    def test_are_usd_per_million_tokens_exact_from_their_text(self):
        assert provider_rows(ENTRIES, "openai", bare_ids=True)["gpt-4o-mini"]["prices"][""] == {
            "input": "0.15",
            "cache_read": "0.075",
            "output": "0.6",
        }

    @pytest.mark.parametrize("literal", ["1.4e-07", "0.00000014", "1.40E-7"])
    def test_do_not_pass_through_binary_floats(self, literal):
        (only,) = parse(f'{{"m": {{"mode": "chat", "input_cost_per_token": {literal}}}}}'.encode()).values()
        assert row(only)["prices"] == {"": {"input": "0.14"}}

    def test_of_context_tiers_and_service_tiers_have_sheets_of_their_own(self):
        prices = row(
            entry(
                input_cost_per_token=Decimal("1e-06"),
                input_cost_per_token_above_200k_tokens=Decimal("2e-06"),
                input_cost_per_token_flex=Decimal("5e-07"),
                input_cost_per_token_above_200k_tokens_flex=Decimal("9e-07"),
            )
        )["prices"]
        assert prices == {
            "": {"input": "1"},
            ">200000": {"input": "2"},
            "flex": {"input": "0.5"},
            "flex>200000": {"input": "0.9"},
        }

    def test_a_tier_may_begin_at_its_threshold(self):
        tiered = entry(input_cost_per_token=1, input_cost_per_token_above_200k_tokens=2)
        assert list(row(tiered, inclusive_thresholds=True)["prices"]) == ["", ">199999"]

    def test_a_free_cache_write_beside_a_price_for_input_is_no_free_input(self):
        prices = row(entry(input_cost_per_token=Decimal("1e-06"), cache_creation_input_token_cost=0))["prices"]
        assert prices == {"": {"input": "1"}}

    def test_a_free_model_is_free(self):
        assert row(entry(input_cost_per_token=0))["prices"] == {"": {"input": "0"}}

    def test_of_nothing_but_zeros_is_known_only_where_the_vendor_gives_the_model_away(self):
        """Price files have 0 where somebody found no price, too: the platform would give away what it pays for."""
        zero = entry(input_cost_per_token=Decimal(0), output_cost_per_token=Decimal(0), input_cost_per_image=Decimal(0))
        entries = {"acme/open": zero, "acme/lost": zero, "acme/half": zero | {"output_cost_per_token": Decimal("1e-6")}}
        rows = provider_rows(entries, "acme", free="op.*")
        assert rows["open"]["prices"] == {"": {"input": "0", "output": "0"}}
        assert "prices" not in rows["lost"]
        assert rows["half"]["prices"] == {"": {"input": "0", "output": "1"}}
        assert "prices" not in provider_rows(entries, "acme")["open"]

    def test_fees_and_uplifts(self):
        made = row(
            entry(
                input_cost_per_request=Decimal("0.005"),
                search_context_cost_per_query={"search_context_size_medium": Decimal("0.01")},
                provider_specific_entry={"us": Decimal("1.1"), "fast": 2},
                regional_processing_uplift_multiplier_eu=Decimal("1.10"),
            )
        )
        assert made["fees"] == {"request": "0.005", "web_search_medium": "0.01"}
        assert made["uplifts"] == {"geo:us": "1.1", "speed:fast": "2", "region:eu": "1.1"}

    def test_off_peak_windows(self):
        block = {
            "input_cost_per_token": Decimal("5e-07"),
            "windows": [
                {"weekdays": [1, 2], "hours_utc": ["00:00-01:00", "10:00-00:00"]},
                {"weekdays": [7], "hours_utc": "00:00-00:00"},
            ],
        }
        assert row(entry(off_peak_pricing=block))["off_peak"] == {
            "windows": [["12", "00:00", "01:00"], ["12", "10:00", "24:00"], ["7", "00:00", "24:00"]],
            "rates": {"input": "0.5"},
        }

    def test_weekdays_may_be_those_of_another_place(self):
        block = {
            "weekday_timezone": "Asia/Shanghai",
            "windows": [{"weekdays": [1, 5], "hours_utc": ["10:00-00:00", "00:00-01:00"]}],
            "input_cost_per_token": Decimal("0.0000005"),
        }
        # Monday and Friday end at 16:00 UTC there; what follows is of the Sunday and the Thursday before.
        assert row(entry(off_peak_pricing=block))["off_peak"]["windows"] == [
            ["15", "10:00", "16:00"],
            ["47", "16:00", "24:00"],
            ["15", "00:00", "01:00"],
        ]

    def test_ranges_of_the_prompts_length_are_context_tiers(self):
        plain = {"input_cost_per_token": Decimal("0.000001"), "output_cost_per_token": Decimal("0.000002")}
        tiers = [{"range": [0, 1000], **plain}, {"range": [1000, 9000], "input_cost_per_token": Decimal("0.000003")}]
        assert row(entry(tiered_pricing=tiers))["prices"] == {
            "": {"input": "1", "output": "2"},
            ">1000": {"input": "3", "output": "2"},
        }

    def test_what_binary_arithmetic_left_behind_a_price_is_no_part_of_it(self):
        assert row(entry(input_cost_per_token=Decimal("0.0000016000000000000001")))["prices"][""]["input"] == "1.6"

    def test_a_rerankers_query_is_a_unit_of_search(self):
        assert row(entry(mode="rerank", input_cost_per_query=Decimal("0.002")))["fees"] == {"search_unit": "0.002"}
        assert row(entry(input_cost_per_query=Decimal("0.002")))["fees"] == {"request": "0.002"}

    def test_of_a_model_that_makes_pictures_the_only_price_is_that_of_one(self):
        drawn = {"mode": "image_generation", "input_cost_per_image": Decimal("0.02")}
        assert row(entry(**drawn))["fees"] == {"image_output": "0.02"}
        both = row(entry(**drawn, output_cost_per_image=Decimal("0.04")))
        assert both["fees"] == {"image_input": "0.02", "image_output": "0.04"}
        assert row(entry(**drawn, output_cost_per_image_token=Decimal("0.00003")))["fees"] == {"image_input": "0.02"}

    def test_every_host_but_the_global_one_may_have_a_factor(self):
        factor = {"regional_endpoint_uplift_multiplier": Decimal("1.1")}
        assert row(entry(**factor))["uplifts"] == {"region:regional": "1.1"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"input_cost_per_smell": 1},
            {"pricing_of_the_future": {}},
            {"output_cost_per_token_overnight": 1},
            {"provider_specific_entry": {"moon": 2}},
            {"off_peak_pricing": {"windows": [], "weekday_timezone": "Mars/Olympus"}},
            {"tiered_pricing": [{"range": [0, 10], "input_cost_per_smell": 1}]},
            {"off_peak_pricing": {"windows": []}, "input_cost_per_token_above_200k_tokens": 1},
        ],
    )
    def test_of_a_kind_nobody_decided_about_stop_the_build(self, fields):
        with pytest.raises(UnknownPriceFieldError):
            row(entry(**fields))


BASE = {"input": Decimal(4), "cache_read": Decimal(1), "output": Decimal(20), "reasoning": Decimal(30)}


class TestCompletion:
    """A sheet that leaves a rate out gets it in proportion."""

    def test_a_tier_scales_each_side_as_its_plain_rate(self):
        full = complete({("", 0): BASE, ("batch", 0): {"input": Decimal(2), "output": Decimal(5)}})
        assert full["batch", 0] == {"input": 2, "cache_read": Decimal("0.5"), "output": 5, "reasoning": Decimal("7.5")}

    def test_stated_rates_stay(self):
        full = complete({("", 0): BASE, ("batch", 0): {"input": Decimal(2), "cache_read": Decimal(1)}})
        assert full["batch", 0]["cache_read"] == 1
        assert full["batch", 0]["output"] == 20

    def test_a_rung_a_tier_leaves_out_is_the_standard_rung_at_the_tiers_proportion(self):
        rung = {"input": Decimal(8), "output": Decimal(30)}
        full = complete({("", 0): BASE, ("", 200_000): rung, ("flex", 0): {"input": Decimal(2)}})
        assert full["", 200_000] == {"input": 8, "cache_read": 2, "output": 30, "reasoning": 45}
        assert full["flex", 200_000] == {"input": 4, "cache_read": 1, "output": 30, "reasoning": 45}

    def test_without_standard_rates_there_is_nothing_to_complete(self):
        assert complete({("priority", 0): {"input": Decimal(1)}}) == {}


class TestModels:
    def test_bare_ids_leave_out_classes_sizes_and_other_modes(self):
        assert list(provider_rows(ENTRIES, "openai", bare_ids=True)) == [
            "gpt-4o-mini",
            "gpt-4o-mini-2024-07-18",
            "text-embedding-3-small",
        ]

    def test_prefixed_ids_lose_only_the_providers_name(self):
        assert list(provider_rows(ENTRIES, "groq")) == ["openai/gpt-oss-120b"]

    def test_a_provider_may_have_several_names_and_keys_of_both_kinds(self):
        entries = {
            "acme/a": {"litellm_provider": "acme", "mode": "chat"},
            "a": {"litellm_provider": "acme_chat", "mode": "chat", "max_output_tokens": 7},
            "b": {"litellm_provider": "acme_chat", "mode": "chat"},
            "acme/eu/c": {"litellm_provider": "acme", "mode": "chat"},
        }
        rows = provider_rows(entries, ["acme", "acme_chat"], both_ids=True, ids="[^/]+")
        assert list(rows) == ["a", "b"]
        assert "max_output" not in rows["a"]
        assert list(provider_rows(entries, "acme", prefix="acme/eu")) == ["c"]

    def test_a_region_where_a_model_costs_more_has_a_factor(self):
        here = {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": Decimal("0.000001")}
        entries = {
            "m": {**here, "output_cost_per_token": Decimal("0.000004")},
            "acme/eu-west-2/m": {**here, "input_cost_per_token": Decimal("0.0000012"), "output_cost_per_token": 5e-06},
            "acme/eu-west-1/m": {**here, "input_cost_per_token": Decimal("0.0000012")},
            "acme/us-east-1/m": here,
            "acme/eu-west-1/1-month-commitment/m": {**here, "input_cost_per_token": Decimal("0.9")},
        }
        rows = provider_rows(entries, "acme", bare_ids=True, regional="acme")
        assert rows["m"]["uplifts"] == {"region:eu-west-1": "1.2", "region:eu-west-2": "1.25"}

    @pytest.mark.parametrize(
        "there", [{"output_cost_per_token": 2}, {"input_cost_per_token": 3, "output_cost_per_token": 3}]
    )
    def test_where_a_regions_rates_are_not_alike_or_beyond_belief_there_is_none(self, there):
        here = {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": 1}
        entries = {"m": here, "acme/eu-west-2/m": {**here, **there}}
        assert "uplifts" not in provider_rows(entries, "acme", bare_ids=True, regional="acme")["m"]

    def test_factors_that_the_file_lacks_are_added_where_there_are_rates(self):
        rows = provider_rows(ENTRIES, "groq", uplifts={"region:us": "1.1"})
        assert rows["openai/gpt-oss-120b"]["uplifts"] == {"region:us": "1.1"}

    def test_facts_that_are_as_usual_are_not_written(self):
        rows = provider_rows(ENTRIES, "openai", bare_ids=True)
        assert rows["text-embedding-3-small"] == {
            "mode": "embedding",
            "context": 8191,
            "out": "embedding",
            "prices": {"": {"input": "0.02"}},
        }
        assert rows["gpt-4o-mini"]["can"] == "tools vision pdf streaming"
        assert rows["gpt-4o-mini"]["in"] == "text image file"
        assert "mode" not in rows["gpt-4o-mini"]

    def test_a_row_that_repeats_another_names_it(self):
        shared = share(provider_rows(ENTRIES, "openai", bare_ids=True))
        assert shared["gpt-4o-mini-2024-07-18"] == "gpt-4o-mini"
        assert isinstance(shared["gpt-4o-mini"], dict)


PINS = Pins(date(2026, 11, 21), "1.0", "prices.json", hashlib.sha256(PRICE_FILE.encode()).hexdigest(), "MIT", "0")
TABLE = [
    {
        "id": "openai",
        "display_name": "OpenAI",
        "kind": "maker",
        "family": "openai",
        "base_url": "https://api.openai.com/v1",
        "auth": {"header": "Authorization", "template": "Bearer {key}"},
        "surfaces": ["chat"],
        "price_source": {"litellm": "openai", "bare_ids": True, "genai_prices": "openai"},
        "source": "the vendor",
        "checked": date(2026, 11, 21),
        "validation": {
            "method": "GET",
            "path": "/models",
            "accepted": [200],
            "rejected": [401],
            "status": "verified",
        },
    }
]


class TestFiles:
    def test_what_is_written_reads_back_as_the_catalog(self):
        content = build.model_file(ENTRIES, TABLE, PINS, [])
        catalog = build.catalog_of(content, TABLE)
        snapshot = catalog.model("openai", "gpt-4o-mini-2024-07-18")
        assert (snapshot.id, snapshot.prices.base.input) == ("gpt-4o-mini-2024-07-18", Decimal("0.15"))
        assert snapshot.prices.fees == {"web_search_low": Decimal("0.025"), "web_search_high": Decimal("0.03")}

    def test_a_host_of_anothers_models_takes_their_prices_where_it_has_none_of_its_own(self):
        """Anthropic's models at Azure cost what Anthropic charges."""
        entries = parse(
            b"""{"claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-06},
                 "gpt-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 9e-06},
                 "other": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 9e-06},
                 "azure/gpt-x": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1e-06}}"""
        )
        theirs = {"litellm": "anthropic", "bare_ids": True, "ids": "(?:claude|gpt)-.*"}
        content = build.model_file(
            entries, [{"id": "azure", "price_source": {"litellm": "azure", "also": [theirs]}}], PINS, []
        )
        prices = {model_id: row["prices"][""]["input"] for model_id, row in content["models"]["azure"].items()}
        assert prices == {"claude-x": "3", "gpt-x": "1"}

    def test_the_same_inputs_make_the_same_bytes(self):
        texts = {build.encoded(build.model_file(parse(PRICE_FILE.encode()), TABLE, PINS, [])) for _ in range(2)}
        assert len(texts) == 1

    def test_another_price_makes_another_version(self):
        dearer = parse(PRICE_FILE.replace("6e-07", "7e-07").encode())
        versions = {build.model_file(entries, TABLE, PINS, [])["version"] for entries in (ENTRIES, dearer)}
        assert len(versions) == 2

    def test_every_model_has_a_line_of_its_own(self):
        text = build.encoded(build.model_file(ENTRIES, TABLE, PINS, []))
        assert sum(line.startswith(('"gpt-', '"text-')) for line in text.splitlines()) == 3
        json.loads(text)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HALVED = Disagreement("openai", "gpt-4o-mini", "output", "0.3", "0.6")


def cheaper_catalog(sign_offs: list[SignOff]) -> Catalog:
    """A catalog in which gpt-4o-mini's output costs half of what everybody knows."""
    text = PRICE_FILE.replace('"output_cost_per_token": 6e-07', '"output_cost_per_token": 3e-07', 1)
    return build.catalog_of(build.model_file(parse(text.encode()), TABLE, PINS, sign_offs), TABLE)


class TestSecondSource:
    def test_a_planted_disagreement_is_found(self):
        found = list(oracle.disagreements(cheaper_catalog([]), {"openai": "openai"}, NOON))
        assert HALVED in found

    def test_and_stops_the_build(self):
        with pytest.raises(build.BuildError, match=r"not signed off: openai/gpt-4o-mini output: 0\.3 here, 0\.6 there"):
            build.check_prices(cheaper_catalog([]), TABLE, [])

    def test_unless_it_is_signed_off(self):
        found = oracle.disagreements(cheaper_catalog([]), {"openai": "openai"}, NOON)
        assert oracle.problems(found, [SignOff(HALVED, "ours", "promotion")]) == []

    def test_a_sign_off_is_for_the_values_that_were_seen(self):
        older = replace(HALVED, theirs="0.5")
        assert oracle.problems([HALVED], [SignOff(older, "ours", "promotion")]) == [
            f"not signed off: {HALVED}",
            f"signed off, but no longer so: {older}",
        ]

    def test_their_price_can_be_taken(self):
        catalog = cheaper_catalog([SignOff(HALVED, "theirs", "the price file is late")])
        assert catalog.model("openai", "gpt-4o-mini").prices.base.output == Decimal("0.6")
        build.check_prices(catalog, TABLE, [])

    def test_a_correction_of_what_is_no_longer_wrong_stops_the_build(self):
        with pytest.raises(build.BuildError, match="no longer so"):
            build.model_file(ENTRIES, TABLE, PINS, [SignOff(HALVED, "theirs", "the price file is late")])

    @pytest.mark.parametrize(
        "price, sheet", [("input", ""), ("flex:input", "flex"), ("input>9", ">9"), ("flex:input>9", "flex>9")]
    )
    def test_corrections_reach_every_sheet(self, price, sheet):
        rows = {"m": {"prices": {sheet: {"input": "1"}}}}
        assert (
            oracle.correct("openai", rows, [SignOff(Disagreement("openai", "m", price, "1", "2"), "theirs", "")]) == []
        )
        assert rows["m"]["prices"][sheet]["input"] == "2"

    def test_a_rung_that_the_price_file_lacks_can_be_taken(self):
        rows = {"m": {"prices": {"": {"input": "1"}}}}
        wrong = Disagreement("openai", "m", "input>9", "1", "2")
        assert oracle.correct("openai", rows, [SignOff(wrong, "theirs", "")]) == []
        assert rows["m"]["prices"] == {"": {"input": "1"}, ">9": {"input": "2"}}

    def test_a_rung_that_they_alone_have_differs_by_what_stands_below_it(self):
        """claude-sonnet-4-5 has none here: what is signed off says so."""
        signed = {each.disagreement for each in oracle.read_sign_offs(build.SIGNED_OFF)}
        found = set(oracle.disagreements(Catalog.load(), {"anthropic": "anthropic"}, NOON))
        beyond = Disagreement("anthropic", "claude-sonnet-4-5", "input>200000", "3", "6")
        assert beyond in found & signed

    def test_sign_offs_are_read_one_for_each_model(self, tmp_path):
        (tmp_path / "signed.toml").write_text(
            '[[group]]\nprovider="p"\nkeep="ours"\nreason="why"\ndiffer=[["input", "1", "2", "m", "n"]]\n'
        )
        assert [s.disagreement.model_id for s in oracle.read_sign_offs(tmp_path / "signed.toml")] == ["m", "n"]


class TestProviderTable:
    def problems(self, **changes: object) -> str:
        return "\n".join(providers.problems([{**TABLE[0], **changes}]))

    def test_a_good_row_has_no_problem(self):
        assert self.problems() == ""

    @pytest.mark.parametrize(
        "changes, complaint",
        [
            ({"base_url": "http://api.openai.com/v1"}, "https"),
            ({"base_url": "https://api.openai.com/v1/"}, "https"),
            ({"base_url": "https://{region}.openai.com"}, "https"),
            ({"base_url": None}, "base URL"),
            ({"id": "Open AI"}, "id"),
            ({"family": "esperanto"}, "esperanto"),
            ({"kind": "friend"}, "friend"),
            ({"surfaces": ["teleport"]}, "teleport"),
            ({"quirks": ["moody"]}, "moody"),
            ({"parameters": {"unsupported": ["Logit-Bias"]}}, "no members of a request: Logit-Bias"),
            ({"parameters": {"renamed": {"seed": "random seed"}}}, "no names of a parameter: random seed"),
            ({"parameters": {"unsupported": ["seed"], "renamed": {"seed": "random_seed"}}}, "renamed too: seed"),
            ({"parameters": {"reasoning": "telepathy"}}, "telepathy"),
            ({"parameters": {"unknown": []}}, "unknown"),
            ({"parameters": {"models": [{"models": "o(", "unsupported": []}]}}, "regular expression"),
            ({"protocols": [{"models": "o(", "protocol": "p"}]}, "regular expression"),
            ({"protocols": [{"models": "o.*"}]}, "protocol"),
            ({"protocols": [{"models": "o.*", "protocol": "Esperanto 2"}]}, "no name of a protocol"),
            ({"regions": {"https://eu.api.openai.com/v1": "region:eu"}}, "no host"),
            ({"regions": {"eu.api.openai.com": "1.1"}}, "no host"),
            ({"auth": {"header": "Authorization", "template": "Bearer"}}, "place for the key"),
            ({"auth": {"header": "Auth: x", "template": "{key}"}}, "header"),
            ({"key_hint": {"pattern": "sk-("}}, "regular expression"),
            ({"key_hint": {"prefix": "sk-"}}, "prefix"),
            ({"price_source": {"litelm": "openai"}}, "litelm"),
            ({"adress": "x"}, "adress"),
            ({"validation": {**TABLE[0]["validation"], "path": "models"}}, "path"),
            ({"validation": {**TABLE[0]["validation"], "rejected": []}}, "rejected"),
            ({"validation": {**TABLE[0]["validation"], "limited": [401]}}, "two meanings"),
            ({"validation": {**TABLE[0]["validation"], "method": "POST"}}, "POST"),
            ({"validation": {**TABLE[0]["validation"], "method": "POST", "body": "{"}}, "JSON"),
            ({"validation": {**TABLE[0]["validation"], "status": "hopeful"}}, "hopeful"),
        ],
    )
    def test_a_bad_row_is_told_what_is_wrong(self, changes, complaint):
        assert complaint in self.problems(**changes)

    def test_a_missing_field_is_told(self):
        incomplete = {name: value for name, value in TABLE[0].items() if name != "auth"}
        assert providers.problems([incomplete]) == ["openai: KeyError: 'auth'"]

    def test_names_are_nobody_elses(self):
        other = {**TABLE[0], "id": "other", "display_name": "Other", "aliases": ["OPENAI"]}
        assert providers.problems([TABLE[0], other]) == ["other: the name 'openai' is also openai's"]
        assert len(providers.problems([TABLE[0], TABLE[0]])) == 1

    def test_kinds_come_in_their_order(self):
        host = {**TABLE[0], "id": "host", "display_name": "Host", "kind": "host"}
        assert providers.problems([TABLE[0], host]) == []
        assert "order" in providers.problems([host, TABLE[0]])[0]

    def test_what_only_the_build_reads_is_not_shipped(self):
        (shipped,) = json.loads(providers.compiled(TABLE))["providers"]
        assert shipped == {**{k: v for k, v in TABLE[0].items() if k != "price_source"}, "checked": "2026-11-21"}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "litellm-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("prices.json", PRICE_FILE)
    return path


class TestSource:
    def test_the_pinned_file_is_read_from_the_wheel(self, wheel):
        assert price_file(PINS, wheel) == PRICE_FILE.encode()

    def test_another_file_than_the_pinned_one_is_refused(self, wheel):
        with pytest.raises(SourceError, match="sha256"):
            price_file(replace(PINS, sha256="0" * 64), wheel)

    def test_entries_that_are_no_models_are_left_out(self):
        assert "sample_spec" not in ENTRIES

    def test_the_command_says_why_it_refuses(self, wheel, capsys):
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr(Pins.read(build.PINS).file, "{}")
        assert main(["check", "--wheel", str(wheel)]) == 1
        assert "pins.toml says" in capsys.readouterr().err
