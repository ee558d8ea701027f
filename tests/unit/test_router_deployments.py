"""A credential for one deployment: what it is asked for, under which names, and what that costs."""

from __future__ import annotations

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.surfaces import Surface
from ownkey.router import Ask, Plan, Planner, Preferences, Supply, deployed_model, refusal_of
from tests.support.inference import credential

PRICED = {"prices": {"": {"input": "2.5", "output": "10"}}}
CATALOG = Catalog(
    tuple(Catalog.load().provider(each) for each in ("openai", "azure")),
    {
        "version": "2026-11-21.test",
        "as_of": "2026-11-21",
        "models": {
            "openai": {"gpt-5.4": PRICED, "gpt-4o": PRICED},
            "azure": {"gpt-5.4": PRICED, "gpt-4o": PRICED, "gpt-35-turbo": PRICED},
        },
    },
)
PLANNER = Planner(CATALOG)
AZURE = ["Azure"]


def azure(deployment: str = "gpt-5-4", *, alias: str = "azure", model: str | None = None, **values):
    fields = {"host": "acme.openai.azure.com", "deployment": deployment} | ({"model": model} if model else {})
    return credential("azure", alias=alias, fields=fields, **values)


def plan(model: str, *own, **provider) -> Plan:
    preferences = Preferences.of({"provider": provider} if provider else {})
    return PLANNER.plan(Ask(Surface.CHAT, model, "gk_1", True, preferences), Supply(own), Supply())


def served(model: str, *own, **provider) -> list[tuple[str, str]]:
    return [(each.credential.alias, each.model_id) for each in plan(model, *own, **provider).candidates]


@pytest.mark.parametrize("model", ["gpt-5.4", "azure/gpt-5-4", "Azure OpenAI/gpt-5.4", "gpt-5-4"])
def test_a_deployment_named_after_its_model_is_reached_by_either_name(model: str) -> None:
    (candidate,) = plan(model, azure()).candidates
    assert (candidate.provider.id, candidate.model_id) == ("azure", "gpt-5.4")
    assert candidate.model is not None
    assert candidate.model.prices is not None


@pytest.mark.parametrize("model", ["gpt-4o", "azure/gpt-4o", "openai/gpt-4o", "gpt-5.4-mini", "azure/prod"])
def test_it_is_not_asked_for_another_model(model: str) -> None:
    assert served(model, azure(), order=AZURE) == []


def test_the_makers_name_reaches_it_where_the_request_names_it() -> None:
    """As in a request with `"provider": {"order": ["Azure"]}`."""
    maker = credential("openai", alias="openai")
    assert served("openai/gpt-5.4", azure(), maker) == [("openai", "gpt-5.4")]
    assert served("openai/gpt-5.4", azure(), maker, order=AZURE) == [("azure", "gpt-5.4"), ("openai", "gpt-5.4")]
    assert served("openai/gpt-5.4", azure(), maker, only=["azure"]) == [("azure", "gpt-5.4")]


@pytest.mark.parametrize("model", ["gpt-4o", "azure/prod", "prod"])
@pytest.mark.parametrize("stated", [{"model": "gpt-4o"}, {"allowed_models": ("gpt-4o",)}])
def test_a_name_of_its_own_needs_its_model_stated_once(model: str, stated: dict) -> None:
    assert served(model, azure("prod", **stated)) == [("azure", "gpt-4o")]


def test_without_its_model_it_serves_by_its_own_name_and_its_cost_is_unknown() -> None:
    (candidate,) = plan("azure/prod", azure("prod")).candidates
    assert (candidate.model_id, candidate.model) == ("prod", None)


def test_several_deployments_each_serve_their_own() -> None:
    own = (azure("gpt-5-4", alias="a"), azure("gpt4o", alias="b"), azure("chat", alias="c", model="gpt-35-turbo"))
    assert served("gpt-5.4", *own) == [("a", "gpt-5.4")]
    assert served("gpt-4o", *own) == [("b", "gpt-4o")]
    assert served("gpt-3.5-turbo", *own) == [("c", "gpt-35-turbo")]


def test_models_that_it_allows_by_any_name() -> None:
    two = azure("router", allowed_models=("gpt-5.4", "openai/gpt-4o"))
    assert served("gpt-5.4", two) == [("azure", "gpt-5.4")]
    assert served("openai/gpt-4o", two) == [("azure", "gpt-4o")]


def test_a_provider_that_the_request_names_serves_the_makers_model_where_it_lists_it() -> None:
    wide = credential("azure", alias="wide")
    assert served("openai/gpt-4o", wide) == []
    assert served("openai/gpt-4o", wide, order=AZURE) == [("wide", "gpt-4o")]


def test_what_is_deployed() -> None:
    def found(*args, **values) -> str:
        own = azure(*args, **values).credential
        return deployed_model(CATALOG, own, own.fields["deployment"])

    assert found("GPT_5-4") == "gpt-5.4"
    assert found("prod") == "prod"
    assert found("prod", model="gpt-9") == "gpt-9"
    assert found("prod", allowed_models=("openai/gpt-4o",)) == "gpt-4o"


def test_whoever_would_serve_if_it_were_named_is_told() -> None:
    """A maker's name is not taken to another host unasked; that it could be is the fix."""
    everything = Planner(Catalog.load())
    bedrock = credential("bedrock", alias="aws", fields={"region": "eu-west-1"})

    def fix_of(model: str, *own, **provider) -> str:
        preferences = Preferences.of({"provider": provider} if provider else {})
        plan = everything.plan(Ask(Surface.CHAT, model, "gk_1", True, preferences), Supply(own), Supply())
        assert plan.candidates == ()
        return refusal_of(plan).fix

    told = fix_of("anthropic/claude-haiku-4.5", bedrock)
    assert "Amazon Bedrock has it, as eu.anthropic.claude-haiku-4-5-20251001-v1:0" in told
    assert '"provider": {"order": ["Amazon Bedrock"]}' in told
    assert "Azure OpenAI has it, as gpt-4o" in fix_of("openai/gpt-4o", azure("gpt-4o"))
    for asked in ({"only": ["anthropic"]}, {"ignore": ["bedrock"]}):
        assert "Bedrock" not in fix_of("anthropic/claude-haiku-4.5", bedrock, **asked)
    off = credential("bedrock", alias="off", fields={"region": "eu-west-1"}, disabled=True)
    assert "Bedrock" not in fix_of("anthropic/claude-haiku-4.5", off)
