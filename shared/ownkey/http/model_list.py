"""`GET /v1/models`: the models a gateway key reaches, through whose credential, at what price.

OpenAI's shape with OpenRouter's additions (`pricing` in dollars a token, or another unit, as decimal strings,
`context_length`, `architecture`, `supported_parameters`), or Anthropic's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from ownkey.catalog import Catalog, Model, PriceList, Provider, is_sold
from ownkey.domain.credentials import Credential, CredentialSource
from ownkey.domain.errors import InvalidParameter
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.scopes import admits_model, model_names
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_for
from ownkey.registry import RequestView
from ownkey.router import deployed_model

Json = dict[str, Any]

_RESPONSES_ALONE = "responses"
"""A model's mode: it is served by the Responses API and no other."""

_PRICES = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
    "internal_reasoning": "reasoning",
    "audio": "audio_input",
}
_FEES = {
    "request": "request",
    "web_search": "web_search_medium",
    "image": "image_input",
    "image_output": "image_output",
    "character": "character_input",
    "audio_second": "audio_second_input",
    "search_unit": "search_unit",
}
_MAX_PAGE = 1_000
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "tools": ("tools", "tool_choice"),
    "parallel_tools": ("parallel_tool_calls",),
    "schema": ("response_format", "structured_outputs"),
    "reasoning": ("reasoning", "reasoning_effort"),
    "web_search": ("web_search_options",),
}
"""A capability → what clients of OpenRouter's dialect look for among `supported_parameters`."""
_TOKENS_A_PRICE = Decimal(1_000_000)
# The catalog does not know when a model was published; both dialects demand a time.
_UNKNOWN_CREATED_S = 0
_UNKNOWN_CREATED_AT = "1970-01-01T00:00:00Z"


@dataclass(slots=True)
class Reachable:
    """A model by its id, where it is served first, and by whose credentials it can be."""

    id: str
    provider: Provider
    model: Model | None
    surfaces: tuple[Surface, ...]
    """The endpoints by which one provider or another serves it."""
    routes: dict[tuple[str, CredentialSource], None] = field(default_factory=dict)
    """(provider id, source), in the order in which they would be tried."""

    def through(self, source: CredentialSource) -> bool:
        """Whether a credential of this source serves it."""
        return any(each is source for _, each in self.routes)


def reachable(
    view: RequestView, catalog: Catalog, today: date, lent: Sequence[Credential] = ()
) -> dict[str, Reachable]:
    """Every model that the gateway key of `view` reaches, by id, in order of id.

    Args:
        lent: What other accounts share: it serves where the platform's may.
    """
    found: dict[str, Reachable] = {}
    own = [(CredentialSource.BYOK, s.credential) for s in view.own.credentials]
    others = [*(s.credential for s in view.platform.credentials), *lent]
    platform = [(CredentialSource.PLATFORM, each) for each in others]
    strict = {c.provider_id for _, c in own if c.always_use and c.serves_key(view.key.id)}
    for source, credential in [*own, *(platform if view.account.platform_allowed else ())]:
        provider = catalog.find_provider(credential.provider_id)
        if provider is None or credential.disabled or not credential.serves_key(view.key.id):
            continue
        if source is CredentialSource.PLATFORM and provider.id in strict:
            continue
        if view.key.providers is not None and provider.id not in view.key.providers:
            continue
        for model_id, model in _models(catalog, provider, credential):
            surfaces = tuple(
                surface
                for surface in Surface
                if (view.key.surfaces is None or surface in view.key.surfaces)
                and translator_for(surface, provider, model_id, model)
            )
            if not _in_scope(view.key, provider, model_id) or not _offered(provider, model, surfaces, source, today):
                continue
            each = found.setdefault(model_id, Reachable(model_id, provider, model, surfaces))
            each.surfaces = tuple(surface for surface in Surface if surface in (*each.surfaces, *surfaces))
            each.routes.setdefault((provider.id, source))
    return dict(sorted(found.items()))


def as_openai(each: Reachable) -> Json:
    """One model in OpenAI's shape, with what is known of it."""
    model = each.model
    row: Json = {
        "id": each.id,
        "canonical_slug": each.id,
        "name": each.id,
        "object": "model",
        "created": _UNKNOWN_CREATED_S,
        "owned_by": each.provider.id,
        "byok": each.through(CredentialSource.BYOK),
        "platform": each.through(CredentialSource.PLATFORM),
        "routes": [{"provider": provider_id, "source": source.value} for provider_id, source in each.routes],
        "surfaces": [surface.value for surface in each.surfaces],
    }
    if model is None:
        return row | {"context_length": None, "pricing": None, "capabilities": [], "supported_parameters": []}
    known = [name for capability, names in _PARAMETERS.items() if capability in model.capabilities for name in names]
    return row | {
        "context_length": model.context_length,
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_output,
            "is_moderated": False,
        },
        "architecture": {
            "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
            "input_modalities": list(model.input_modalities),
            "output_modalities": list(model.output_modalities),
            "tokenizer": None,
            "instruct_type": None,
        },
        "capabilities": sorted(model.capabilities),
        "supported_parameters": ["max_tokens", *known] if Surface.CHAT in each.surfaces else [],
        "per_request_limits": None,
        "expiration_date": str(model.retires_on) if model.retires_on else None,
        "pricing": _pricing(model.prices) if model.prices else None,
    }


def as_openai_list(models: Mapping[str, Reachable]) -> Json:
    """All of them in OpenAI's shape."""
    return {"object": "list", "data": [as_openai(each) for each in models.values()]}


def as_anthropic(each: Reachable) -> Json:
    """One model in Anthropic's shape."""
    retires_on = each.model.retires_on if each.model else None
    return {
        "type": "model",
        "id": each.id,
        "display_name": each.id,
        "created_at": _UNKNOWN_CREATED_AT,
        "lifecycle": "deprecated" if retires_on else "active",
        "retires_at": f"{retires_on}T00:00:00Z" if retires_on else None,
        "max_input_tokens": each.model.context_length if each.model else None,
        "max_tokens": each.model.max_output if each.model else None,
    }


def as_anthropic_list(models: Mapping[str, Reachable], query: bytes = b"") -> Json:
    """Those that a client of Anthropic's dialect can ask, in its shape: all on one page unless `limit` is given.

    Args:
        query: `limit`, `after_id` or `before_id`, `lifecycle[]`, as anthropic-python 2.11 sends them
            (`types/model_list_params.py`).

    Raises:
        InvalidParameter: a limit that is no number from 1 to 1,000, or a cursor that is no model listed.
    """
    asked = parse_qs(query.decode("latin-1"))
    stages = [*asked.get("lifecycle[]", ()), *asked.get("lifecycle", ())]
    reached = [as_anthropic(each) for each in models.values() if Surface.MESSAGES in each.surfaces]
    listed = [each for each in reached if not stages or each["lifecycle"] in stages]
    limit = _limit(asked["limit"][-1]) if "limit" in asked else len(listed) + 1
    if "before_id" in asked:
        rest = listed[: _place(listed, "before_id", asked["before_id"][-1])]
        data = rest[-limit:]
    else:
        rest = listed[_place(listed, "after_id", asked["after_id"][-1]) + 1 :] if "after_id" in asked else listed
        data = rest[:limit]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": len(data) < len(rest), **ends}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:5]) <= _MAX_PAGE):
        raise InvalidParameter(f"`limit` is not a number from 1 to {_MAX_PAGE}.", param="limit")
    return int(text)


def _place(listed: Sequence[Json], name: str, wanted: str) -> int:
    for at, each in enumerate(listed):
        if each["id"] == wanted:
            return at
    raise InvalidParameter(f"`{name}` is no model of this list.", param=name)


def _models(catalog: Catalog, provider: Provider, credential: Credential) -> Iterable[tuple[str, Model | None]]:
    """The models of a credential: what the catalog lists for its provider, cut to and filled up from its own list."""
    if credential.deployment is not None:
        deployed = deployed_model(catalog, credential, credential.deployment)
        listed = dict.fromkeys([deployed, *(credential.allowed_models or ())])
        return [(model_id, catalog.model(provider.id, model_id)) for model_id in listed]
    if credential.allowed_models is None:
        return [(model.id, model) for model in catalog.models(provider.id)]
    return [(model_id, catalog.model(provider.id, model_id)) for model_id in credential.allowed_models]


def _in_scope(key: GatewayKey, provider: Provider, model_id: str) -> bool:
    return key.models is None or admits_model(key.models, model_names(provider.names, model_id))


def _offered(
    provider: Provider, model: Model | None, surfaces: Sequence[Surface], source: CredentialSource, today: date
) -> bool:
    if model is None:
        return bool(surfaces) and source is CredentialSource.BYOK
    # Other surfaces reach it by way of Responses, where the provider has them.
    unreachable = model.mode == _RESPONSES_ALONE and Surface.RESPONSES not in provider.surfaces
    if not surfaces or model.retired(today) or unreachable:
        return False
    return source is CredentialSource.BYOK or any(is_sold(model, surface) for surface in surfaces)


def _pricing(prices: PriceList) -> dict[str, str]:
    """Dollars a token or another unit, as decimal strings without an exponent."""
    known = {name: getattr(prices.base, bucket) for name, bucket in _PRICES.items()}
    fees = {name: _plain(prices.fees[fee]) for name, fee in _FEES.items() if fee in prices.fees}
    return {name: _plain(rate / _TOKENS_A_PRICE) for name, rate in known.items() if rate is not None} | fees


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
