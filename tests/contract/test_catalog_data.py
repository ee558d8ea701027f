"""The committed data: rows as their head says, prices as a second source has them, files as the build writes them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from ownkey.catalog import RATE_BUCKETS, Catalog, Kind, PriceList
from ownkey.catalog.providers import decode_provider
from tools.catalog import build, oracle, providers
from tools.catalog.page import provider_page
from tools.catalog.source import Pins
from tools.catalog.vocabulary import CAPABILITIES, FEES, MODES, WEB_SEARCH_FEES

MODELS_JSON = (build.PACKAGE / "models.json").read_text()
PROVIDERS_TOML = tomllib.loads((build.PACKAGE / "providers.toml").read_text())["providers"]
CATALOG = Catalog.load()
MODELS = [model for provider in CATALOG.providers for model in CATALOG.models(provider.id)]


NAMED_BY_OTHERS = (
    "OpenAI", "Anthropic", "Google AI Studio", "Google (Gemini)", "Gemini", "Azure", "Azure OpenAI", "Bedrock",
    "AWS Bedrock", "Amazon Bedrock", "VertexAI", "Google Vertex AI", "Groq", "OpenRouter", "NVIDIA NIM", "Z.ai",
    "Z.ai GLM Coding Plan", "GLM Coding Plan", "Ollama Cloud", "Cerebras", "DeepInfra", "Mistral", "xAI",
    "DeepSeek", "Fireworks", "Together", "Together AI", "Perplexity", "Cohere",
)  # fmt: skip
"""What other gateways let people bring keys of, by the names they give them."""

PUBLIC_MODEL_LISTS = (
    "openrouter", "nvidia", "sambanova", "inception", "llmgateway", "deepinfra", "ollama-cloud", "modelscope", "venice",
    "vercel-ai-gateway", "friendli", "cortecs", "featherless", "chutes", "io-net", "inference-net", "synthetic",
    "avian", "aihubmix", "aiml", "qiniu",
)  # fmt: skip
"""Where `GET /models` answers anybody, or is said to."""


class TestProviderTable:
    def test_every_row_is_as_the_head_of_the_file_says(self):
        assert providers.problems(PROVIDERS_TOML) == []

    def test_the_compiled_form_is_of_this_table(self):
        assert (build.PACKAGE / "providers.json").read_text() == providers.compiled(PROVIDERS_TOML)

    def test_the_page_for_people_is_of_this_table(self):
        assert build.PAGE.read_text() == provider_page(PROVIDERS_TOML, CATALOG)

    def test_what_is_loaded_is_what_is_written(self):
        assert CATALOG.providers == tuple(decode_provider(row) for row in PROVIDERS_TOML)

    def test_every_base_url_is_https(self):
        for provider in CATALOG.providers:
            urls = [form.base_url or provider.base_url for form in provider.forms]
            assert provider.kind is Kind.CUSTOM or all(url.startswith("https://") for url in urls)

    def test_only_the_users_own_endpoint_has_no_address_at_all(self):
        lacking = [p.id for p in CATALOG.providers if not p.base_url and not all(form.base_url for form in p.forms)]
        assert lacking == ["openai-compatible"]

    @pytest.mark.parametrize("name", NAMED_BY_OTHERS)
    def test_every_provider_that_others_name_is_there(self, name):
        provider = CATALOG.find_provider(name)
        assert provider is not None
        assert provider.key_url

    def test_every_provider_can_be_given_a_credential(self):
        assert all(provider.forms for provider in CATALOG.providers)

    def test_there_are_a_hundred_of_them(self):
        assert len(CATALOG.providers) >= 100

    def test_an_answer_that_a_bad_key_may_have_too_proves_nothing(self):
        for provider in CATALOG.providers:
            for form in provider.forms:
                if form.validation.body == "{}":
                    assert 200 not in form.validation.accepted, provider.id

    def test_a_row_says_where_a_key_is_had_and_where_its_facts_are_from(self):
        for provider in CATALOG.providers:
            assert provider.kind is Kind.CUSTOM or provider.key_url.startswith("https://"), provider.id
            assert len(provider.source) > 10, provider.id
            assert provider.checked <= CATALOG.as_of, provider.id

    @pytest.mark.parametrize("provider_id", PUBLIC_MODEL_LISTS)
    def test_a_public_list_of_models_is_no_proof(self, provider_id):
        for form in CATALOG.provider(provider_id).forms:
            assert not (form.validation.method == "GET" and form.validation.path.endswith("/models"))

    def test_what_is_not_served_yet_is_not_offered_for_its_models(self):
        for provider in CATALOG.providers:
            for model in CATALOG.models(provider.id) if not provider.surfaces else ():
                assert provider not in CATALOG.providers_of(model.id)

    def test_no_two_providers_share_a_name(self):
        names = [name for p in CATALOG.providers for name in {name.casefold() for name in p.names}]
        assert len(names) == len(set(names))


class TestModels:
    def test_numbers_are_whole_or_decimal_strings_never_floats(self):
        def refuse(literal: str) -> None:
            raise AssertionError(literal)

        json.loads(MODELS_JSON, parse_float=refuse)

    def test_the_version_is_that_of_the_content(self):
        content = json.loads(MODELS_JSON)
        digest = hashlib.sha256(json.dumps(content["models"], sort_keys=True).encode()).hexdigest()
        assert content["version"] == f"{content['as_of']}.{digest[:8]}"

    def test_the_source_is_the_pinned_one(self):
        pins, content = Pins.read(build.PINS), json.loads(MODELS_JSON)
        assert content["as_of"] == str(pins.as_of)
        assert content["source"]["sha256"] == pins.sha256
        assert content["source"]["version"] == pins.litellm_version

    def test_each_speaks_the_vocabulary(self):
        for model in MODELS:
            assert model.mode in MODES, model
            assert model.capabilities <= {*CAPABILITIES.values(), "streaming"}, model
            assert set(model.input_modalities) <= {"text", "image", "audio", "video", "file"}, model
            assert set(model.output_modalities) <= {"text", "image", "audio", "video", "embedding"}, model
            assert all(count is None or count >= 0 for count in (model.context_length, model.max_output)), model

    def test_price_lists_are_whole(self):
        for model in MODELS:
            if model.prices:
                check_price_list(model.prices)

    def test_no_text_is_embedded_or_ranked_at_a_thousand_times_what_it_costs(self):
        """A price of a thousand tokens taken for that of one is the slip that price files make."""
        for model in MODELS:
            if model.prices and model.mode in ("embedding", "rerank"):
                assert (model.prices.base.input or 0) <= 1, model

    def test_most_chat_models_have_a_price(self):
        """17 of 2,229 had no other than zeros, for which nobody vouches."""
        chat = [model for model in MODELS if model.mode == "chat"]
        assert sum(model.prices is not None for model in chat) / len(chat) > 0.975


def check_price_list(prices: PriceList) -> None:
    assert set(prices.fees) <= {*FEES.values(), *WEB_SEARCH_FEES.values(), "search_unit"}
    assert set(prices.service_tiers) <= {"batch", "flex", "priority", "ultrafast"}
    stated = {bucket for bucket in RATE_BUCKETS if getattr(prices.base, bucket) is not None}
    for ladder in (prices.steps, *prices.service_tiers.values()):
        rungs = [step.above_tokens for step in ladder]
        assert rungs[0] == 0
        assert rungs == sorted(set(rungs))
        for step in ladder:
            known = {bucket: getattr(step.rates, bucket) for bucket in RATE_BUCKETS}
            assert stated <= {bucket for bucket, rate in known.items() if rate is not None}
            assert all(rate is None or 0 <= rate < 10_000 for rate in known.values())


class TestSecondSource:
    def test_no_price_differs_from_genai_prices_unless_signed_off(self):
        build.check_prices(CATALOG, PROVIDERS_TOML, oracle.read_sign_offs(build.SIGNED_OFF))

    def test_every_sign_off_says_which_price_to_keep_and_why(self):
        for sign_off in oracle.read_sign_offs(build.SIGNED_OFF):
            assert sign_off.keep in ("ours", "theirs", "neither")
            assert len(sign_off.reason) > 20


USD_PER_MTOK = {
    # model: (input, cached input, output), as the vendors' pages have them
    "openai/gpt-4o": ("2.5", "1.25", "10"),
    "openai/gpt-4o-mini": ("0.15", "0.075", "0.6"),
    "openai/gpt-4.1": ("2", "0.5", "8"),
    "openai/gpt-4.1-nano": ("0.1", "0.025", "0.4"),
    "openai/o3": ("2", "0.5", "8"),
    "openai/o4-mini": ("1.1", "0.275", "4.4"),
    "openai/gpt-5": ("1.25", "0.125", "10"),
    "openai/gpt-5-mini": ("0.25", "0.025", "2"),
    "openai/gpt-5.4": ("2.5", "0.25", "15"),
    "anthropic/claude-haiku-4-5": ("1", "0.1", "5"),
    "anthropic/claude-sonnet-4-5": ("3", "0.3", "15"),
    "anthropic/claude-opus-4-5": ("5", "0.5", "25"),
    "groq/openai/gpt-oss-120b": ("0.15", "0.075", "0.6"),
    "mistral/mistral-large-4": ("0.7", "0.07", "2.1"),
    "xai/grok-4.3": ("1.25", "0.2", "2.5"),
    "deepseek/deepseek-v4-pro": ("1.32", "0.044", "3.96"),
}


class TestKnownPrices:
    @pytest.mark.parametrize("name", USD_PER_MTOK)
    def test_plain_rates(self, name):
        ref = CATALOG.resolve(name)
        base = CATALOG.model(ref.provider_id, ref.model_id).prices.base
        assert (base.input, base.cache_read, base.output) == tuple(map(Decimal, USD_PER_MTOK[name]))

    @pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"])
    def test_anthropic_cache_writes_cost_a_quarter_more_and_for_an_hour_double(self, model):
        base = CATALOG.model("anthropic", model).prices.base
        assert base.cache_write_5m == base.input * Decimal("1.25")
        assert base.cache_write_1h == base.input * 2

    @pytest.mark.parametrize("tokens, rate", [(199_999, "1.25"), (200_000, "2.5")])
    def test_xai_bills_long_context_from_its_threshold_on(self, tokens, rate):
        assert CATALOG.model("xai", "grok-4.3").prices.rates(input_tokens=tokens).input == Decimal(rate)

    @pytest.mark.parametrize("tokens, rate", [(272_000, "2.5"), (272_001, "5")])
    def test_openai_bills_long_context_above_its_threshold(self, tokens, rate):
        assert CATALOG.model("openai", "gpt-5.4").prices.rates(input_tokens=tokens).input == Decimal(rate)

    def test_flex_is_half_and_priority_double(self):
        prices = CATALOG.model("openai", "gpt-5").prices
        assert prices.rates(service_tier="flex").output == 5
        assert prices.rates(service_tier="priority").output == 20


def test_loading_needs_only_the_compiled_files():
    code = (
        "import sys; from ownkey.catalog import Catalog; Catalog.load();"
        "print(sorted({'tomllib', 'genai_prices', 'pydantic', 'litellm'} & sys.modules.keys()))"
    )
    shared = str(Path(build.PACKAGE).parents[1])
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": shared}, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
