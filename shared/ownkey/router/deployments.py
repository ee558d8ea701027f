"""Credentials that are for one deployment: a model, under a name that its owner gave it, at the owner's own resource.

The credential's public fields say which (`deployment`), and may say what is deployed (`model`). What the provider is
sent is the deployment's name; what is priced, recorded and listed is the model, as far as it is known.
"""

from __future__ import annotations

from ownkey.catalog import Catalog, ModelRef, plain_name
from ownkey.domain.credentials import Credential


def deployed_model(catalog: Catalog, credential: Credential, deployment: str) -> str:
    """The model that is deployed, by its provider's id: as stated; the only one that the credential allows; the listed
    one that the deployment is named after (`gpt-5-4`); where nothing tells, the deployment itself.
    """
    if stated := credential.fields.get("model"):
        return stated
    allowed = credential.allowed_models or ()
    if len(allowed) == 1:
        return catalog.resolve(allowed[0]).model_id
    return catalog.model_alike(credential.provider_id, deployment) or deployment


def asked_of(
    catalog: Catalog, credential: Credential, deployment: str, asked: ModelRef, model: str, *, named: bool
) -> str | None:
    """The model's id where the deployment is to serve it; None: it is another.

    Args:
        asked: What the client asks for, taken apart; `model`: as it is written.
        named: Whether the request itself names the provider, so that `openai/gpt-5.4` may be a copy of it elsewhere.
    """
    here = named or asked.provider_id in (None, credential.provider_id)
    allowed = credential.allowed_models or ()
    if model in allowed or (here and asked.model_id in allowed):
        return asked.model_id
    served = deployed_model(catalog, credential, deployment)
    return served if here and plain_name(asked.model_id) in map(plain_name, (deployment, served)) else None
