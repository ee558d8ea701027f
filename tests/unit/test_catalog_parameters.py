"""How a provider departs from its dialect, as its row says it: for all of its models, and for some."""

from __future__ import annotations

import pytest

from ownkey.catalog import Catalog, Parameters, ReasoningField
from ownkey.catalog.providers import decode_provider
from ownkey.domain.surfaces import Dialect, Surface

ROW = {
    "id": "acme",
    "display_name": "Acme",
    "kind": "host",
    "family": "openai",
    "base_url": "https://api.acme.example/v1",
    "auth": {"header": "Authorization", "template": "Bearer {key}"},
    "surfaces": ["chat"],
    "source": "its documentation",
    "checked": "2026-11-21",
    "validation": {
        "method": "GET",
        "path": "/models",
        "accepted": [200],
        "rejected": [401],
        "status": "verified",
    },
}
CATALOG = Catalog.load()


def parameters_of(model_id: str, **parameters: object) -> Parameters:
    return decode_provider({**ROW, "parameters": parameters}).parameters_of(model_id)


class TestParameters:
    def test_a_row_without_any_is_as_its_dialect_says(self):
        assert decode_provider({**ROW, "family": "azure"}).parameters_of("m") == Parameters()
        assert Parameters().usage == "usage"

    def test_a_compatible_providers_system_prompt_has_its_old_role_unless_the_row_says_otherwise(self):
        assert decode_provider(ROW).parameters_of("m") == Parameters(roles={"developer": "system"})
        assert parameters_of("m", unsupported=["seed"]).roles == {"developer": "system"}
        assert parameters_of("m", roles={}).roles == {}

    def test_only_its_own_maker_is_known_to_take_the_role_developer(self):
        speaking = [p for p in CATALOG.providers if p.family is Dialect.OPENAI and Surface.CHAT in p.surfaces]
        assert [p.id for p in speaking if p.parameters.roles != {"developer": "system"}] == ["openai"]

    def test_are_those_of_the_row(self):
        found = parameters_of(
            "m",
            unsupported=["logit_bias", "messages.name"],
            renamed={"seed": "random_seed"},
            roles={"developer": "system"},
            text_content=True,
            reasoning="reasoning_content",
            usage="choices.usage",
        )
        assert found.unsupported == {"logit_bias", "messages.name"}
        assert found.renamed == {"seed": "random_seed"}
        assert found.roles == {"developer": "system"}
        assert found.text_content
        assert found.reasoning is ReasoningField.REASONING_CONTENT
        assert found.usage == "choices.usage"

    def test_what_some_models_refuse_adds_to_what_all_do(self):
        more = [{"models": "think-.*", "unsupported": ["stop"], "reasoning": "think_tags"}]
        row = {"unsupported": ["logit_bias"], "reasoning": "reasoning", "models": more}
        assert parameters_of("think-1", **row).unsupported == {"logit_bias", "stop"}
        assert parameters_of("think-1", **row).reasoning is ReasoningField.THINK_TAGS
        assert parameters_of("plain-1", **row).unsupported == {"logit_bias"}
        assert parameters_of("plain-1", **row).reasoning is ReasoningField.REASONING

    def test_every_pattern_that_fits_the_whole_id_counts(self):
        more = [
            {"models": "a.*", "unsupported": ["stop"]},
            {"models": ".*b", "unsupported": ["seed"], "renamed": {"user": "customer"}},
        ]
        assert parameters_of("ab", models=more).unsupported == {"stop", "seed"}
        assert parameters_of("a", models=more).renamed == {}
        assert parameters_of("xa", models=more) == parameters_of("xa")

    @pytest.mark.parametrize("provider_id", ["moonshot", "moonshot-cn"])
    def test_of_models_that_fix_their_sampling(self, provider_id):
        """Any temperature but their own is answered with 400, and most clients send one."""
        provider = CATALOG.provider(provider_id)
        found = {model: provider.parameters_of(model).unsupported for model in ("kimi-k2.6", "kimi-k3", "m-v1")}
        assert {"temperature", "top_p", "n"} <= found["kimi-k2.6"] & found["kimi-k3"]
        assert {"tool_choice=required", "tool_choice=function"} <= found["kimi-k2.6"] - found["kimi-k3"]
        assert found["kimi-k3"] - found["kimi-k2.6"] == {
            f"reasoning_effort={effort}" for effort in ("none", "minimal", "medium", "xhigh")
        }
        assert found["m-v1"] == {"tool_choice=required"}


class TestProtocols:
    def test_the_first_pattern_that_fits_the_whole_id_decides(self):
        rows = [{"models": "a-.*", "protocol": "first"}, {"models": ".*", "protocol": "second"}]
        provider = decode_provider({**ROW, "protocols": rows})
        assert provider.protocol_of("a-1") == "first"
        assert provider.protocol_of("b-a-1") == "second"

    def test_none_where_the_family_says_it_all(self):
        assert decode_provider(ROW).protocol_of("m") is None

    @pytest.mark.parametrize(
        "provider_id, model_id, protocol",
        [
            ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic_bedrock"),
            ("bedrock", "us.anthropic.claude-opus-4-5-20251101-v1:0", "anthropic_bedrock"),
            ("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic_bedrock"),
            ("bedrock", "us-gov.anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic_bedrock"),
            ("bedrock", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", "anthropic_bedrock"),
            (
                "bedrock",
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-v1:0",
                "anthropic_bedrock",
            ),
            ("bedrock", "amazon.nova-pro-v1:0", None),
            ("bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", None),
            ("vertex", "claude-opus-4-5@20251101", "anthropic_vertex"),
            ("vertex", "gemini-3-pro", "gemini_vertex"),
            ("vertex", "meta/llama-4-scout", "openai_vertex"),
            ("vertex", "mistral-medium-3", "mistral_vertex"),
            ("vertex", "mistralai/codestral-2@001", "mistral_vertex"),
            ("vertex", "codestral@2405", "mistral_vertex"),
            ("openai", "gpt-4o", None),
        ],
    )
    def test_of_clouds_that_serve_several_makers(self, provider_id, model_id, protocol):
        assert CATALOG.provider(provider_id).protocol_of(model_id) == protocol
