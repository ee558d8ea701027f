"""A host's ids of other makers' models, found by the names that the makers, and people, give them."""

from __future__ import annotations

import re

import pytest

from ownkey.catalog import Catalog
from ownkey.catalog.naming import Names, Naming, decode_naming

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.mark.parametrize(
    "region, found",
    [
        ("us-east-1", f"us.{HAIKU}"),
        ("us-west-2", f"us.{HAIKU}"),
        ("ca-central-1", f"us.{HAIKU}"),
        ("eu-central-1", f"eu.{HAIKU}"),
        ("eu-south-2", f"eu.{HAIKU}"),
        ("ap-northeast-1", f"jp.{HAIKU}"),
        ("ap-northeast-3", f"jp.{HAIKU}"),
        ("ap-southeast-2", f"au.{HAIKU}"),
        ("ap-southeast-1", f"global.{HAIKU}"),
        ("ap-northeast-2", f"global.{HAIKU}"),
        ("sa-east-1", f"global.{HAIKU}"),
        ("me-central-1", f"global.{HAIKU}"),
    ],
)
def test_bedrocks_inference_profile_is_that_of_the_credentials_region(catalog: Catalog, region: str, found: str):
    """As AWS's page of the model has them."""
    assert catalog.id_at("bedrock", "anthropic/claude-haiku-4.5", {"region": region}) == found


@pytest.mark.parametrize(
    "name, found",
    [
        ("anthropic/claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-haiku-4-5-20251001", f"us.{HAIKU}"),
        ("Anthropic/Claude-Opus-4.6", "us.anthropic.claude-opus-4-6-v1"),
        ("anthropic/claude-opus-4-6-20260205", "us.anthropic.claude-opus-4-6-v1"),
        ("claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        ("anthropic/claude-3.5-sonnet", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("anthropic/claude-3-5-sonnet-20240620", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("meta-llama/llama-3.3-70b-instruct", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("meta-llama/llama-4-scout", "us.meta.llama4-scout-17b-instruct-v1:0"),
        ("amazon/nova-pro-v1", "us.amazon.nova-pro-v1:0"),
        ("deepseek/deepseek-r1", "us.deepseek.r1-v1:0"),
        ("openai/gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("mistralai/mistral-large-2407", "mistral.mistral-large-2407-v1:0"),
        ("z-ai/glm-4.7", "zai.glm-4.7"),
        ("cohere/embed-v4", "us.cohere.embed-v4:0"),
        ("anthropic/claude-haiku-4-5-20250101", None),
        ("openai/claude-haiku-4-5", None),
        ("acme/llama-3.3-70b-instruct", None),
        ("openai/gpt-4o", None),
        ("", None),
        ("anthropic/", None),
    ],
)
def test_bedrocks_ids_by_the_makers_names(catalog: Catalog, name: str, found: str | None):
    assert catalog.id_at("bedrock", name, {"region": "us-east-1"}) == found
    assert found is None or catalog.model("bedrock", found).prices


def test_no_data_leaves_a_government_region_by_a_profile(catalog: Catalog):
    sonnet, haiku = "claude-sonnet-4-5", "claude-haiku-4-5"
    govern = {"region": "us-gov-west-1"}
    assert catalog.id_at("bedrock", sonnet, govern) == "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert catalog.id_at("bedrock", haiku, govern) == HAIKU


@pytest.mark.parametrize(
    "name, found",
    [
        ("anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001"),
        ("anthropic/claude-haiku-4-5-20250101", None),
        ("anthropic/claude-opus-4.6", "claude-opus-4-6"),
        ("google/gemini-2.5-pro", "gemini-2.5-pro"),
        ("meta-llama/llama-3.3-70b-instruct", "meta/llama-3.3-70b-instruct-maas"),
        ("deepseek/deepseek-v3.2", "deepseek-ai/deepseek-v3.2-maas"),
    ],
)
def test_vertexs_ids_by_the_makers_names(catalog: Catalog, name: str, found: str | None):
    assert catalog.id_at("vertex", name, {}) == found


@pytest.mark.parametrize("name", ["meta-llama/llama-3.3-70b-instruct-turbo", "Meta-Llama/Llama-3.3-70B-Instruct-Turbo"])
def test_without_a_rule_names_differ_in_punctuation_and_case_alone(catalog: Catalog, name: str):
    assert catalog.id_at("together", name, {}) == "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    assert catalog.id_at("together", "meta-llama/llama-3.3", {}) is None


def test_every_id_with_a_price_is_found_by_the_name_in_it(catalog: Catalog):
    """So that a new way of writing ids is seen when the prices are renewed."""
    naming = catalog.provider("bedrock").naming
    assert naming
    strange = [each.id for each in catalog.models("bedrock") if not naming.ids.fullmatch(each.id)]
    assert [each for each in strange if not each.startswith("max-x-max/")] == []


def test_a_value_of_no_place_has_ids_of_no_place():
    names = Names(Naming(re.compile(r"(?:(?P<place>us)\.)?(?P<name>.*)"), by="region"), ["us.a", "a", "us.b"])
    assert names.id_of("", "a", {"region": "us-east-1"}) == "a"
    assert names.id_of("", "b", {}) is None


@pytest.mark.parametrize(
    "row, problem",
    [
        ({"ids": "(.*)"}, "name"),
        ({"ids": "(?P<name>"}, "regular expression"),
        ({"ids": "(?P<name>.*)", "places": [{"values": "(", "places": []}]}, "regular expression"),
        ({"ids": "(?P<name>.*)", "other": 1}, "other"),
        ({}, "ids"),
    ],
)
def test_a_rule_that_is_none(row, problem):
    with pytest.raises((KeyError, TypeError, ValueError), match=problem):
        decode_naming(row)
