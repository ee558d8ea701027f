"""Who may serve a request, in which order, and what is said where nobody may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.credentials import CredentialSource, StoredCredential
from ownkey.domain.errors import InvalidParameter, ModelNotFound, NoByokKey, NoCredential, SurfaceNotSupported
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import Health, HealthState, Mark, after_fault
from ownkey.domain.surfaces import Surface
from ownkey.router import Ask, Moment, Plan, Planner, Preferences, Reason, Supply, refusal_of
from tests.support.inference import credential

CATALOG = Catalog.load()
PLANNER = Planner(CATALOG)
BYOK, PLATFORM = CredentialSource.BYOK, CredentialSource.PLATFORM
OPEN_MODEL = "openai/gpt-oss-120b"
"""Listed under one id by several hosts."""


def plan(
    model: str,
    own: Sequence[StoredCredential] = (),
    platform: Sequence[StoredCredential] = (),
    *,
    surface: Surface = Surface.CHAT,
    gateway_key: str = "gk_1",
    platform_allowed: bool = True,
    **provider: Any,
) -> Plan:
    preferences = Preferences.of({"provider": provider} if provider else {})
    ask = Ask(surface, model, gateway_key, platform_allowed, preferences)
    return PLANNER.plan(ask, Supply(own), Supply(platform))


def order(found: Plan) -> list[str]:
    """The candidates' aliases; platform ones with a star."""
    return [c.credential.alias + ("*" if c.source is PLATFORM else "") for c in found.candidates]


def reasons(found: Plan) -> dict[str, Reason]:
    return {each.credential.alias: each.reason for each in found.dropped}


# ── Mixed mode: the priority table


def test_own_credentials_come_before_the_platforms() -> None:
    found = plan("gpt-4o", [credential("openai", alias="mine")], [credential("openai", alias="theirs")])
    assert order(found) == ["mine", "theirs*"]


def test_without_an_own_credential_the_platform_serves() -> None:
    assert order(plan("gpt-4o", [], [credential("openai", alias="theirs")])) == ["theirs*"]


def test_own_credentials_of_all_providers_come_before_any_of_the_platforms() -> None:
    hosts = [provider.id for provider in CATALOG.providers_of(OPEN_MODEL)][:2]
    found = plan(OPEN_MODEL, [credential(hosts[1], alias="mine")], [credential(hosts[0], alias="theirs")])
    assert order(found) == ["mine", "theirs*"]


@pytest.mark.parametrize(
    ("forbidding", "reason"),
    [
        ({"platform_allowed": False}, Reason.ACCOUNT_FORBIDS_PLATFORM),
        ({"allow_fallbacks": False}, Reason.REQUEST_FORBIDS_PLATFORM),
    ],
)
def test_account_and_request_can_forbid_the_platform(forbidding: dict[str, Any], reason: Reason) -> None:
    found = plan("gpt-4o", [credential("openai", alias="mine")], [credential("openai", alias="theirs")], **forbidding)
    assert order(found) == ["mine"]
    assert reasons(found) == {"theirs": reason}


def test_a_credential_can_forbid_the_platform_for_its_provider() -> None:
    hosts = [provider.id for provider in CATALOG.providers_of(OPEN_MODEL)][:2]
    found = plan(
        OPEN_MODEL,
        [credential(hosts[0], alias="mine", always_use=True)],
        [credential(hosts[0], alias="same"), credential(hosts[1], alias="other")],
    )
    assert order(found) == ["mine", "other*"]
    assert reasons(found) == {"same": Reason.CREDENTIAL_FORBIDS_PLATFORM}


@pytest.mark.parametrize("values", [{"disabled": True}, {"allowed_models": ("gpt-4.1",)}])
def test_it_does_so_even_while_it_cannot_serve_itself(values: dict[str, Any]) -> None:
    own = credential("openai", alias="mine", always_use=True, **values)
    assert order(plan("gpt-4o", [own], [credential("openai", alias="theirs")])) == []


def test_one_for_another_gateway_key_forbids_nothing() -> None:
    own = credential("openai", alias="mine", always_use=True, gateway_keys=("gk_2",))
    assert order(plan("gpt-4o", [own], [credential("openai", alias="theirs")])) == ["theirs*"]


def test_the_platform_never_serves_what_has_no_price() -> None:
    found = plan("openai/gpt-of-tomorrow", [credential("openai", alias="mine")], [credential("openai", alias="theirs")])
    assert order(found) == ["mine"]
    assert reasons(found) == {"theirs": Reason.UNPRICED}
    assert found.candidates[0].model is None


# ── The pool of one provider


def test_scope_then_priority_then_age() -> None:
    own = [
        credential("openai", alias="wide-2", priority=2),
        credential("openai", alias="wide-1b", priority=1),
        credential("openai", alias="wide-1a", priority=1),
        credential("openai", alias="scoped-9", priority=9, gateway_keys=("gk_1",)),
    ]
    assert order(plan("gpt-4o", own)) == ["scoped-9", "wide-1a", "wide-1b", "wide-2"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"disabled": True}, Reason.DISABLED),
        ({"gateway_keys": ("gk_2", "gk_3")}, Reason.OTHER_GATEWAY_KEY),
        ({"allowed_models": ("gpt-4.1",)}, Reason.MODEL_NOT_ALLOWED),
    ],
)
def test_a_credential_that_may_not_serve_says_why(values: dict[str, Any], reason: Reason) -> None:
    found = plan("gpt-4o", [credential("openai", alias="mine", **values)])
    assert order(found) == []
    assert reasons(found) == {"mine": reason}


# ── Models


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("OpenAI/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("openai/gpt-of-tomorrow", "gpt-of-tomorrow"),
        ("ft:gpt-4o-2024-08-06:acme::1", "ft:gpt-4o-2024-08-06:acme::1"),
    ],
)
def test_the_provider_is_asked_for_the_model_by_its_own_name(model: str, asked: str) -> None:
    (candidate,) = plan(model, [credential("openai")]).candidates
    assert candidate.model_id == asked


def test_snapshots_have_the_price_of_their_model() -> None:
    (candidate,) = plan("gpt-4o-2024-11-20", [credential("openai")]).candidates
    assert candidate.model is not None
    assert candidate.model.prices is not None


def test_hosts_of_one_id_are_all_candidates_in_the_catalogs_order() -> None:
    hosts = [provider.id for provider in CATALOG.providers_of(OPEN_MODEL)]
    assert len(hosts) > 2
    found = plan(OPEN_MODEL, [credential(host) for host in reversed(hosts)])
    assert [candidate.provider.id for candidate in found.candidates] == hosts
    assert {candidate.model_id for candidate in found.candidates} == {OPEN_MODEL}


def test_a_gateway_that_lists_the_whole_name_stands_behind_the_named_provider() -> None:
    gateways = [provider.id for provider in CATALOG.providers_of("openai/gpt-4o")]
    found = plan("openai/gpt-4o", [credential(gateways[0]), credential("openai")])
    assert [(c.provider.id, c.model_id) for c in found.candidates] == [
        ("openai", "gpt-4o"),
        (gateways[0], "openai/gpt-4o"),
    ]


def test_a_makers_model_in_another_spelling_is_the_makers_own() -> None:
    """As gateways write it: those that list that very name stand behind."""
    spelt = "anthropic/claude-haiku-4.5"
    gateways = [provider.id for provider in CATALOG.providers_of(spelt)]
    found = plan(spelt, [credential(gateways[0]), credential("anthropic")])
    assert [(c.provider.id, c.model_id) for c in found.candidates] == [
        ("anthropic", "claude-haiku-4-5"),
        (gateways[0], spelt),
    ]


def test_a_model_that_nobody_lists_is_served_by_a_server_of_ones_own() -> None:
    own = [
        credential("openai", alias="public"),
        credential("openai", alias="proxy", custom_base_url=True),
        credential("openai-compatible", alias="local", custom_base_url=True),
        credential("groq", alias="narrow", custom_base_url=True, allowed_models=("other",)),
    ]
    assert order(plan("our-finetune", own)) == ["local", "proxy"]


def test_a_model_that_a_credential_names_is_served_by_it() -> None:
    own = [
        credential("openai-compatible", alias="named", custom_base_url=True, allowed_models=("our-finetune", "gpt-4o")),
        credential("openai", alias="public"),
    ]
    assert order(plan("our-finetune", own)) == ["named"]
    assert order(plan("gpt-4o", own)) == ["public", "named"]


def test_a_server_of_ones_own_does_not_answer_for_models_that_others_list() -> None:
    assert order(plan("gpt-4o", [credential("openai-compatible", alias="local", custom_base_url=True)])) == []
    assert order(plan("openai-compatible/gpt-4o", [credential("openai-compatible", custom_base_url=True)])) != []


# ── Where a key may go


@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
@pytest.mark.parametrize("custom", [False, True])
def test_a_key_goes_where_it_was_sealed_for_whatever_the_catalog_says_by_now(provider: str, custom: bool) -> None:
    saved = credential(provider, destination="https://old.example/v1", custom_base_url=custom)
    (candidate,) = plan(f"{provider}/gpt-4o", [saved]).candidates
    assert candidate.base_url == saved.credential.binding().destination == "https://old.example/v1"


# ── The request's preferences


HOSTS = [provider.id for provider in CATALOG.providers_of(OPEN_MODEL)][:3]
OWN = [credential(host) for host in HOSTS]


def test_order_moves_providers_to_the_front_by_any_of_their_names() -> None:
    last = CATALOG.provider(HOSTS[2])
    for name in (last.id, last.display_name, last.display_name.upper()):
        found = plan(OPEN_MODEL, OWN, order=[name])
        assert order(found) == [HOSTS[2], HOSTS[0], HOSTS[1]]


def test_a_provider_named_twice_counts_where_it_stands_first() -> None:
    assert order(plan(OPEN_MODEL, OWN, order=[HOSTS[1], HOSTS[2], HOSTS[1]])) == [HOSTS[1], HOSTS[2], HOSTS[0]]


def test_order_does_not_put_the_platform_before_own_keys() -> None:
    found = plan(OPEN_MODEL, [OWN[0]], [credential(HOSTS[1], alias="theirs")], order=[HOSTS[1]])
    assert order(found) == [HOSTS[0], "theirs*"]


def test_names_that_nobody_has_match_nothing() -> None:
    assert order(plan(OPEN_MODEL, OWN, order=["AWS Bedrock", HOSTS[1]])) == [HOSTS[1], HOSTS[0], HOSTS[2]]
    assert order(plan(OPEN_MODEL, OWN, ignore=["AWS Bedrock"])) == HOSTS
    assert order(plan(OPEN_MODEL, OWN, only=["AWS Bedrock"])) == []


def test_order_without_fallbacks_is_all_there_is() -> None:
    assert order(plan(OPEN_MODEL, OWN, order=[HOSTS[1]], allow_fallbacks=False)) == [HOSTS[1]]


def test_only_and_ignore() -> None:
    assert order(plan(OPEN_MODEL, OWN, only=[HOSTS[1], HOSTS[2]])) == [HOSTS[1], HOSTS[2]]
    found = plan(OPEN_MODEL, OWN, ignore=[HOSTS[0]])
    assert order(found) == [HOSTS[1], HOSTS[2]]
    assert reasons(found) == {HOSTS[0]: Reason.NOT_WANTED}


@pytest.mark.parametrize(
    ("provider", "param"),
    [
        ("openai", "provider"),
        (["openai"], "provider"),
        ({"order": "openai"}, "provider.order"),
        ({"only": [1]}, "provider.only"),
        ({"ignore": ["x" * 101]}, "provider.ignore"),
        ({"order": ["x"] * 51}, "provider.order"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks"),
    ],
)
def test_preferences_of_the_wrong_kind_are_named(provider: object, param: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        Preferences.of({"provider": provider})
    assert refused.value.param == param


@pytest.mark.parametrize("body", [{}, {"provider": None}, {"provider": {}}, {"provider": {"sort": "price"}}])
def test_without_preferences_everything_is_open(body: dict[str, Any]) -> None:
    assert Preferences.of(body) == Preferences()


# ── Health


def marked(kind: FaultKind) -> Mark:
    mark = after_fault(None, Fault(kind), 0)
    assert mark is not None
    return mark


def test_what_stands_marked_is_dropped_with_its_reason_and_mark() -> None:
    own = [credential("openai", alias=name) for name in ("well", "refused", "slow", "sealed", "elsewhere")]
    own[4] = credential("openai", alias="elsewhere", destination="https://down.example/v1")
    marks = {
        "cred_refused@1": marked(FaultKind.REFUSED),
        "cred_slow@1#gpt-4o": marked(FaultKind.RATE_LIMITED),
        "cred_slow@2": marked(FaultKind.REFUSED),
        "cred_well@1#gpt-4.1": marked(FaultKind.RATE_LIMITED),
        "cred_sealed@1": marked(FaultKind.UNDECRYPTABLE),
        "P#openai#https://down.example/v1": Mark(HealthState.OPEN, FaultKind.FAILING, 0, 15_000),
    }
    found = PLANNER.plan(Ask(Surface.CHAT, "gpt-4o", "gk_1"), Supply(own, Health(marks)), Supply())
    assert order(found) == ["well"]
    assert reasons(found) == {
        "refused": Reason.REJECTED,
        "slow": Reason.COOLING,
        "sealed": Reason.UNDECRYPTABLE,
        "elsewhere": Reason.PROVIDER_FAILING,
    }
    assert {each.mark for each in found.unwell} <= set(marks.values())
    assert len(found.unwell) == 4


def test_what_its_owner_says_comes_before_its_health() -> None:
    own = [credential("openai", alias="mine", disabled=True)]
    supply = Supply(own, Health({"cred_mine@1": marked(FaultKind.REFUSED)}))
    found = PLANNER.plan(Ask(Surface.CHAT, "gpt-4o", "gk_1"), supply, Supply())
    assert reasons(found) == {"mine": Reason.DISABLED}
    assert found.unwell == []
    assert isinstance(refusal_of(found), NoByokKey)


def test_one_that_waits_for_its_probe_stays_in_its_place() -> None:
    poor = marked(FaultKind.OUT_OF_FUNDS)
    assert poor.until_ms is not None
    own = [credential("openai", alias=name) for name in ("a", "b")]
    supply = Supply(own, Health({"cred_a@1": poor}))
    found = PLANNER.plan(Ask(Surface.CHAT, "gpt-4o", "gk_1"), supply, Supply(), Moment(poor.until_ms))
    assert order(found) == ["a", "b"]
    assert [dict(candidate.probes) for candidate in found.candidates] == [{"cred_a@1": poor}, {}]


def test_the_platforms_health_is_its_own() -> None:
    own, platform = [credential("openai", alias="same")], [credential("openai", alias="same")]
    ask, health = Ask(Surface.CHAT, "gpt-4o", "gk_1"), Health({"cred_same@1": marked(FaultKind.REFUSED)})
    assert order(PLANNER.plan(ask, Supply(own, health), Supply(platform))) == ["same*"]
    assert order(PLANNER.plan(ask, Supply(own), Supply(platform, health))) == ["same"]


# ── Nobody may


def test_a_model_that_nobody_knows() -> None:
    error = refusal_of(plan("no-such-model", [credential("openai")]))
    assert isinstance(error, ModelNotFound)
    assert error.param == "model"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow_fallbacks": False}, "request forbids"),
        ({"platform_allowed": False}, "account forbids"),
        ({}, "platform has none"),
    ],
)
@pytest.mark.parametrize("gateway_keys", [None, ("gk_2",)])
def test_no_own_key_and_no_fallback(options: dict[str, Any], said: str, gateway_keys: tuple[str, ...] | None) -> None:
    own = [credential("openai", alias="theirs", gateway_keys=gateway_keys)] if gateway_keys else []
    platform = [credential("openai")] if options else []
    error = refusal_of(plan("gpt-4o", own, platform, **options))
    assert isinstance(error, NoByokKey)
    assert (error.status, error.code, error.retryable) == (404, "no_byok_key", False)
    assert said in error.message


def test_the_reasons_are_told() -> None:
    error = refusal_of(plan("gpt-4o", [credential("openai", alias="mine", disabled=True)]))
    assert error.details["providers"] == ["openai", "azure"]
    assert error.details["credentials"] == [
        {"alias": "mine", "provider": "openai", "source": "byok", "reason": "it is disabled"}
    ]


def test_an_unpriced_model_is_not_the_platforms_to_sell() -> None:
    error = refusal_of(plan("openai/gpt-of-tomorrow", [], [credential("openai")]))
    assert isinstance(error, NoCredential)


@pytest.mark.parametrize(
    ("surface", "model", "own", "endpoint"),
    [
        (Surface.COUNT_TOKENS, "grok-4.20", ["xai"], "/v1/chat/completions"),
        (Surface.COUNT_TOKENS, "grok-4.20", [], "/v1/chat/completions"),
    ],
)
def test_a_model_that_has_no_such_surface_names_the_endpoint_that_serves_it(
    surface: Surface, model: str, own: list[str], endpoint: str
) -> None:
    error = refusal_of(plan(model, [credential(provider) for provider in own], surface=surface))
    assert isinstance(error, SurfaceNotSupported)
    assert endpoint in error.fix
    assert f"POST {endpoint}" in error.details["endpoints"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("surface", "model", "provider"),
    [(Surface.CHAT, "claude-sonnet-4-5", "anthropic"), (Surface.MESSAGES, "gpt-4o", "openai")],
)
def test_another_dialects_model_is_served_by_its_provider(surface: Surface, model: str, provider: str) -> None:
    planned = plan(model, [credential(provider)], surface=surface)
    assert [each.provider.id for each in planned.candidates] == [provider]


def test_a_disabled_server_of_ones_own_is_not_a_wrong_surface() -> None:
    own = credential("openai-compatible", custom_base_url=True, disabled=True)
    assert isinstance(refusal_of(plan("our-finetune", [own])), NoByokKey)


def test_the_same_question_has_the_same_answer() -> None:
    own = [credential("openai", alias=f"k{n}", priority=n % 3) for n in range(20)]
    assert plan("gpt-4o", own) == plan("gpt-4o", list(reversed(own)))
