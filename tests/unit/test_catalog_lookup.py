"""Finding providers and models by the names people use."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ownkey.catalog import MAX_AGE_DAYS, Catalog, ModelRef, UpstreamOverride, Verdict


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


class TestProviders:
    @pytest.mark.parametrize("name", ["xai", "xAI", "XAI", "x-ai", "Grok", " grok "])
    def test_found_by_id_display_name_or_alias_in_any_case(self, catalog, name):
        assert catalog.find_provider(name).id == "xai"

    def test_an_unknown_name_is_nobody(self, catalog):
        assert catalog.find_provider("acme") is None

    def test_an_unknown_id_is_an_error(self, catalog):
        with pytest.raises(KeyError):
            catalog.provider("acme")

    def test_an_id_is_known_or_not(self, catalog):
        assert catalog.knows_provider("groq")
        assert not catalog.knows_provider("Groq")

    def test_a_key_is_presented_as_the_row_says(self, catalog):
        assert catalog.provider("openai").auth.headers("k") == {"Authorization": "Bearer k"}
        assert catalog.provider("anthropic").auth.headers("k") == {"x-api-key": "k"}

    def test_a_key_hint_is_silent_where_nothing_is_known(self, catalog):
        assert catalog.provider("groq").key_hint.fits("gsk_" + "a" * 52)
        assert not catalog.provider("groq").key_hint.fits("sk-nope")
        assert catalog.provider("nvidia").key_hint.fits("nvapi-anything")
        assert catalog.provider("mistral").key_hint.fits("anything at all")

    @pytest.mark.parametrize(
        "provider_id, status, verdict",
        [
            ("openai", 200, Verdict.ACCEPTED),
            ("openai", 401, Verdict.REJECTED),
            ("openai", 403, Verdict.LIMITED),
            ("openai", 429, Verdict.INCONCLUSIVE),
            ("openai", 500, Verdict.INCONCLUSIVE),
            ("xai", 400, Verdict.REJECTED),
            ("deepseek", 402, Verdict.LIMITED),
            ("nvidia", 404, Verdict.ACCEPTED),
            ("nvidia", 403, Verdict.REJECTED),
        ],
    )
    def test_what_a_status_says_of_a_key_depends_on_the_provider(self, catalog, provider_id, status, verdict):
        assert catalog.provider(provider_id).validation.verdict(status) is verdict


class TestRegions:
    @pytest.mark.parametrize(
        "provider_id, base_url, uplifts",
        [
            ("openai", "https://eu.api.openai.com/v1", ("region:eu",)),
            ("openai", "https://api.openai.com/v1", ()),
            (
                "vertex",
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5",
                ("region:regional",),
            ),
            ("vertex", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu", ("region:regional",)),
            ("vertex", "https://aiplatform.googleapis.com/v1/projects/p/locations/global", ()),
            ("bedrock", "https://bedrock-runtime.eu-west-2.amazonaws.com", ("region:eu-west-2",)),
            ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com", ()),
            ("groq", "https://api.groq.com/openai/v1", ()),
        ],
    )
    def test_an_address_may_cost_more(self, catalog, provider_id, base_url, uplifts):
        assert catalog.provider(provider_id).uplifts_at(base_url) == uplifts


class TestWhereKeysAreValidated:
    def test_under_the_base_url(self, catalog):
        assert catalog.provider("groq").validation_url() == "https://api.groq.com/openai/v1/models"

    def test_elsewhere_at_the_provider_where_the_row_says_so(self, catalog):
        assert catalog.provider("huggingface").validation_url() == "https://huggingface.co/api/whoami-v2"

    @pytest.mark.parametrize("provider_id", ["openai", "huggingface"])
    def test_a_key_for_a_base_url_of_the_users_own_never_goes_to_the_providers_host(self, catalog, provider_id):
        url = catalog.provider(provider_id).validation_url("https://llm.example.com/v1/")
        assert url.startswith("https://llm.example.com/")

    def test_a_provider_without_a_base_url_needs_one(self, catalog):
        provider = catalog.provider("openai-compatible")
        assert provider.validation_url("https://llm.example.com/v1") == "https://llm.example.com/v1/models"
        with pytest.raises(ValueError, match="base URL"):
            provider.validation_url()


class TestOverrides:
    def test_a_base_url_moves_requests_and_validation(self):
        provider = Catalog.load({"openai": "http://127.0.0.1:9/openai/v1/"}).provider("openai")
        assert provider.base_url == "http://127.0.0.1:9/openai/v1"
        assert provider.validation_url() == "http://127.0.0.1:9/openai/v1/models"

    def test_an_absolute_validation_url_moves_along(self):
        provider = Catalog.load({"huggingface": "http://127.0.0.1:9/v1"}).provider("huggingface")
        assert provider.validation_url() == "http://127.0.0.1:9/api/whoami-v2"

    def test_further_endpoints_can_be_given(self):
        override = {"base_url": "http://127.0.0.1:9/v1", "validation_url": "http://127.0.0.1:8/check"}
        assert UpstreamOverride.of(override) == UpstreamOverride("http://127.0.0.1:9/v1", "http://127.0.0.1:8/check")
        provider = Catalog.load({"huggingface": override}).provider("huggingface")
        assert provider.validation_url() == "http://127.0.0.1:8/check"

    def test_other_providers_stay_where_they_are(self, catalog):
        moved = Catalog.load({"openai": "http://127.0.0.1:9"})
        assert moved.provider("anthropic") == catalog.provider("anthropic")
        assert Catalog.load().provider("openai").base_url == "https://api.openai.com/v1"

    @pytest.mark.parametrize(
        "overrides, complaint",
        [
            ({"acme": "http://127.0.0.1:9"}, "acme"),
            ({"openai": {"base_url": "http://127.0.0.1:9", "tokn_url": "x"}}, "tokn_url"),
            ({"openai": {"validation_url": "http://127.0.0.1:9"}}, "base_url"),
        ],
    )
    def test_a_typing_error_is_told(self, overrides, complaint):
        with pytest.raises(ValueError, match=complaint):
            Catalog.load(overrides)


class TestModels:
    def test_listed_models_have_facts(self, catalog):
        model = catalog.model("openai", "gpt-4o-mini")
        assert (model.provider_id, model.id, model.mode) == ("openai", "gpt-4o-mini", "chat")
        assert (model.context_length, model.max_output) == (128_000, 16_384)
        assert {"tools", "vision", "schema", "streaming"} <= model.capabilities
        assert model.input_modalities == ("text", "image", "file")
        assert model.output_modalities == ("text",)
        assert model.prices.version == catalog.version

    def test_unknown_models_are_unknown(self, catalog):
        assert catalog.model("openai", "gpt-unheard-of") is None
        assert catalog.model("openrouter", "openai/gpt-4o") is None
        assert catalog.model("acme", "gpt-4o") is None

    @pytest.mark.parametrize(
        "provider_id, model_id, listed_as",
        [
            ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
            ("openai", "gpt-4o-mini-2031-12-31", "gpt-4o-mini"),
            ("anthropic", "claude-sonnet-4-5-20311231", "claude-sonnet-4-5"),
            ("openai", "ft:gpt-4o-2024-08-06:acme::abc123", "ft:gpt-4o-2024-08-06"),
        ],
    )
    def test_a_snapshot_not_seen_has_the_facts_of_its_model_and_keeps_its_name(
        self, catalog, provider_id, model_id, listed_as
    ):
        model = catalog.model(provider_id, model_id)
        assert (model.id, model.listed_as) == (model_id, listed_as)
        assert model.prices == catalog.model(provider_id, listed_as).prices

    def test_a_snapshot_with_prices_of_its_own_keeps_them(self, catalog):
        old, new = catalog.model("openai", "gpt-4o-2024-05-13"), catalog.model("openai", "gpt-4o")
        assert old.prices.base.input == 2 * new.prices.base.input

    def test_models_of_a_provider(self, catalog):
        ids = [model.id for model in catalog.models("anthropic")]
        assert "claude-sonnet-4-5" in ids
        assert ids == sorted(ids)
        assert catalog.models("openai-compatible") == ()

    def test_retirement_counts_from_its_day(self, catalog):
        model = catalog.model("deepseek", "deepseek-chat")
        assert not model.retired(model.retires_on - timedelta(days=1))
        assert model.retired(model.retires_on)
        assert not catalog.model("openai", "gpt-4o-mini").retired(date.max)


class TestProvidersOfAModel:
    def test_its_maker_first(self, catalog):
        assert catalog.providers_of("gpt-4o")[0].id == "openai"
        assert catalog.providers_of("claude-haiku-4-5")[0].id == "anthropic"

    def test_in_the_order_of_the_table(self, catalog):
        found = [p.id for p in catalog.providers_of("openai/gpt-oss-120b")]
        assert found == [p.id for p in catalog.providers if p.id in found]
        assert found[0] == "groq"
        assert len(found) > 1

    def test_a_snapshot_not_seen_is_its_models(self, catalog):
        assert catalog.providers_of("gpt-4o-2031-12-31") == catalog.providers_of("gpt-4o")

    def test_of_an_unknown_model_there_are_none(self, catalog):
        assert catalog.providers_of("gpt-unheard-of") == ()


class TestResolve:
    @pytest.mark.parametrize(
        "text, provider_id, model_id",
        [
            ("gpt-4o", None, "gpt-4o"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            ("x-ai/grok-4.5", "xai", "grok-4.5"),
            ("anthropic/claude-haiku-4.5", "anthropic", "claude-haiku-4-5"),
            ("openai/gpt-unheard-of", "openai", "gpt-unheard-of"),
            ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
            ("openai-compatible/my-model", "openai-compatible", "my-model"),
            ("acme/some-model", None, "acme/some-model"),
            ("openai/", None, "openai/"),
            ("", None, ""),
        ],
    )
    def test_takes_vendor_and_model_apart(self, catalog, text, provider_id, model_id):
        assert catalog.resolve(text) == ModelRef(provider_id, model_id)

    def test_a_models_own_slash_is_not_a_vendor(self, catalog):
        assert catalog.resolve("openai/gpt-oss-120b") == ModelRef(None, "openai/gpt-oss-120b")


class TestAge:
    def test_stale_after_its_days(self, catalog):
        assert not catalog.is_stale(catalog.as_of + timedelta(days=MAX_AGE_DAYS))
        assert catalog.is_stale(catalog.as_of + timedelta(days=MAX_AGE_DAYS + 1))

    def test_the_version_begins_with_the_day_of_the_prices(self, catalog):
        assert catalog.version.startswith(f"{catalog.as_of}.")


class TestArns:
    @pytest.mark.parametrize(
        ("arn", "listed_as"),
        [
            ("inference-profile/us.amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0"),
            ("inference-profile/us.anthropic.claude-opus-4-8", "us.anthropic.claude-opus-4-8"),
            ("foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ],
    )
    def test_one_of_a_listed_id_has_its_facts_and_its_price(self, catalog, arn, listed_as):
        arn = f"arn:aws:bedrock:us-east-1:123456789012:{arn}"
        assert catalog.resolve(f"bedrock/{arn}") == ModelRef("bedrock", arn)
        found, listed = catalog.model("bedrock", arn), catalog.model("bedrock", listed_as)
        assert (found.id, found.listed_as, found.prices) == (arn, listed_as, listed.prices)
        assert found.prices is not None

    @pytest.mark.parametrize(
        "arn",
        [
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.nobody.has-this",
            "arn:aws:bedrock:us-east-1:123456789012:imported-model/amazon.nova-pro-v1:0",
            "arn:aws:s3:::inference-profile/amazon.nova-pro-v1:0",
        ],
    )
    def test_another_may_be_called_and_has_no_price(self, catalog, arn):
        assert catalog.resolve(f"bedrock/{arn}") == ModelRef("bedrock", arn)
        assert catalog.model("bedrock", arn) is None

    def test_a_region_before_an_id_is_another_model_with_a_price_of_its_own(self, catalog):
        """Inference kept in a part of the world costs more: what is not listed has no price, not the nearest one."""
        anywhere, kept = (catalog.model("bedrock", f"{at}.anthropic.claude-opus-4-8").prices for at in ("global", "us"))
        assert kept.base.input > anywhere.base.input
        assert catalog.model("bedrock", "us.openai.gpt-oss-120b-1:0") is None

    @pytest.mark.parametrize(
        ("model", "wire"),
        [
            ("us.amazon.nova-pro-v1:0", "bedrock"),
            ("anthropic.claude-opus-4-8", "anthropic_bedrock"),
            ("us-gov.anthropic.claude-sonnet-5", "anthropic_bedrock"),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-opus-5", "anthropic_bedrock"),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3", "bedrock"),
        ],
    )
    def test_anthropics_models_are_spoken_to_in_their_own_dialect(self, catalog, model, wire):
        assert catalog.provider("bedrock").wire_of(model) == wire
