"""A plan without a candidate, as the error that says what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ownkey.catalog import Provider
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import (
    ModelNotAllowed,
    ModelNotFound,
    NoByokKey,
    NoCredential,
    OwnkeyError,
    SurfaceNotSupported,
)
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_for
from ownkey.router.candidates import Reason
from ownkey.router.plan import Ask, Plan
from ownkey.router.unwell import refusal

ENDPOINTS: Mapping[Surface, str] = {
    Surface.CHAT: "POST /v1/chat/completions",
    Surface.RESPONSES: "POST /v1/responses",
    Surface.MESSAGES: "POST /v1/messages",
    Surface.COUNT_TOKENS: "POST /v1/messages/count_tokens",
    Surface.EMBEDDINGS: "POST /v1/embeddings",
    Surface.RERANK: "POST /v1/rerank",
    Surface.IMAGES: "POST /v1/images/generations",
    Surface.SPEECH: "POST /v1/audio/speech",
    Surface.TRANSCRIPTIONS: "POST /v1/audio/transcriptions",
    Surface.TRANSLATIONS: "POST /v1/audio/translations",
    Surface.MODERATIONS: "POST /v1/moderations",
}
"""The endpoints that take a model."""

_MAX_NAMED = 20
_FORBIDDING: Mapping[Reason, str] = {
    Reason.REQUEST_FORBIDS_PLATFORM: "the request forbids a fallback to the platform",
    Reason.ACCOUNT_FORBIDS_PLATFORM: "the account forbids a fallback to the platform",
    Reason.CREDENTIAL_FORBIDS_PLATFORM: "an own credential of this provider forbids a fallback to the platform",
}
_OUT_OF_SCOPE = {Reason.PROVIDER_OUT_OF_SCOPE, Reason.MODEL_OUT_OF_SCOPE}


def refusal_of(plan: Plan) -> OwnkeyError:
    """Why nobody can serve `plan.ask`."""
    if plan.unwell:
        return refusal(plan.unwell, plan.at_ms)
    ask, reasons = plan.ask, {dropped.reason for dropped in plan.dropped}
    if reasons <= _OUT_OF_SCOPE and (reasons or not plan.in_scope):
        return _not_allowed(ask)
    if not plan.providers and not plan.dropped:
        message = f"No provider is known to serve the model {ask.model!r}."
        return ModelNotFound(message, param="model", fix=_by_naming(plan) or None)
    providers = [dropped.provider for dropped in plan.dropped if dropped.reason is Reason.OTHER_SURFACE]
    if providers or (plan.providers and not any(_serves(plan, ask.surface, each) for each in plan.providers)):
        return _wrong_surface(plan, providers or list(plan.providers))
    details: dict[str, object] = {"providers": [provider.id for provider in plan.providers[:_MAX_NAMED]]}
    if plan.dropped:
        details["credentials"] = [
            {"alias": each.credential.alias, "provider": each.provider.id, "source": each.source, "reason": each.reason}
            for each in plan.dropped[:_MAX_NAMED]
        ]
    if any(each.source is CredentialSource.PLATFORM and each.reason is Reason.UNPRICED for each in plan.dropped):
        return NoCredential(
            f"No credential of this account may serve the model {ask.model!r}, and the platform sells none "
            "without a known price.",
            param="model",
            details=details,
        )
    why = next((text for reason, text in _FORBIDDING.items() if reason in reasons or _said(plan, reason)), None)
    return NoByokKey(
        f"No credential of this account may serve the model {ask.model!r}, and "
        f"{why or 'the platform has none for it either'}.",
        param="model",
        details=details,
        fix=_by_naming(plan) or None,
    )


def _by_naming(plan: Plan) -> str:
    """Who serves the model if the request names them; empty: nobody."""
    return " ".join(
        f'{provider.display_name} has it, as {model_id}: send `"provider": {{"order": ["{provider.display_name}"]}}`.'
        for provider, model_id in plan.elsewhere[:_MAX_NAMED]
    )


def _not_allowed(ask: Ask) -> ModelNotAllowed:
    """The gateway key's scope is all that stands in the way."""
    scope = {
        name: list(values)[:_MAX_NAMED]
        for name, values in (("models", ask.allowed_models), ("providers", sorted(ask.allowed_providers or ()) or None))
        if values is not None
    }
    said = " and ".join(f"the {name} {', '.join(values)}" for name, values in scope.items())
    return ModelNotAllowed(
        f"The scope of this gateway key does not reach the model {ask.model!r}: it has {said}.",
        param="model",
        details={"scope": scope},
    )


def _said(plan: Plan, reason: Reason) -> bool:
    """Whether request or account forbid the platform, even where there is no platform credential to drop."""
    if reason is Reason.REQUEST_FORBIDS_PLATFORM:
        return not plan.ask.preferences.allow_fallbacks
    return reason is Reason.ACCOUNT_FORBIDS_PLATFORM and not plan.ask.platform_allowed


def _wrong_surface(plan: Plan, providers: Iterable[Provider]) -> SurfaceNotSupported:
    """What reaches the model, and which of the account's providers serve the endpoint."""
    asked = ENDPOINTS[plan.ask.surface]
    reached = dict.fromkeys(
        (endpoint, provider.display_name)
        for provider in providers
        for surface, endpoint in ENDPOINTS.items()
        if _serves(plan, surface, provider)
    )
    ways = ", ".join(f"{name} by {endpoint}" for endpoint, name in list(reached)[:_MAX_NAMED])
    others = ", ".join(provider.display_name for provider in plan.serving[:_MAX_NAMED])
    fixes = [f"The model is reached at {ways}."] if ways else []
    fixes += [f"Of the account's providers {others} can serve {asked}: choose a model of theirs."] if others else []
    return SurfaceNotSupported(
        f"The model {plan.ask.model!r} is not served by {asked}.",
        fix=" ".join(fixes) or "Choose a model that this endpoint reaches.",
        param="model",
        details={
            "endpoints": sorted({endpoint for endpoint, _ in reached}),
            "providers": [provider.id for provider in plan.serving[:_MAX_NAMED]],
        },
    )


def _serves(plan: Plan, surface: Surface, provider: Provider) -> bool:
    return translator_for(surface, provider, plan.ask.model, plan.models.get(provider.id)) is not None
