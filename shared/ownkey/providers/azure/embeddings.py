"""Embeddings to Azure, passed through."""

from __future__ import annotations

from dataclasses import replace

from ownkey.providers.azure.address import EMBEDDINGS, deployment_of
from ownkey.providers.media.embeddings import Embeddings
from ownkey.providers.translator import Call, Encoded


class AzureEmbeddings(Embeddings):
    """`embeddings` to a deployment."""

    def encode_request(self, call: Call) -> Encoded:
        """OpenAI's, at the deployment's address and by its name."""
        encoded = super().encode_request(replace(call, model_id=deployment_of(call)))
        return replace(encoded, url=EMBEDDINGS.url(call))
