"""The provider families of the matrix: a credential as people give it, and a model that the simulation has."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.aws_keys import simulated_secret
from tests.e2e.accounts import Account, new_provider_key
from tests.e2e.service_accounts import vertex_credential
from tests.e2e.world import World


@dataclass(frozen=True, kw_only=True)
class Family:
    """A row of the matrix: one API of a provider's."""

    name: str
    """As the page calls it."""
    provider: str
    model: str
    thinks: str | None = None
    """A model that reasons, where it is another; empty: none does."""
    credentials: Callable[[World], list[dict[str, Any]]] | None = None
    """Makes the credentials' bodies. None: one plain key."""
    tells_stop: bool = True
    """Whether its answers tell a stop sequence from an end."""
    hides: tuple[str, ...] = ()
    """Surfaces by which thoughts are counted, and not shown."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Column, or `surface column`, → why it is refused."""

    def join(self, account: Account, world: World) -> None:
        """Saves the credentials."""
        for made in self.credentials(world) if self.credentials else [{"key": new_provider_key(self.provider)}]:
            account.owner.ok("POST", "/api/byok", {"provider": self.provider, **made})

    def model_for(self, *, thinking: bool) -> str:
        """What to ask."""
        return self.thinks if thinking and self.thinks else self.model


def _azure(**fields: str) -> Callable[[World], list[dict[str, Any]]]:
    """Two deployments, each with a credential."""
    common = {"azure_endpoint": "https://your-resource.openai.azure.com", **fields}
    return lambda _: [
        {**common, "azure_api_key": f"sim-{uuid.uuid4().hex}", "azure_deployment": deployment, "alias": deployment}
        for deployment in ("gpt-4o-mini", "gpt-5")
    ]


def _bedrock_key(_: World) -> list[dict[str, Any]]:
    return [{"key": f"ABSKsim-{uuid.uuid4().hex}", "aws_region": "us-east-1"}]


def _bedrock_signed(_: World) -> list[dict[str, Any]]:
    key_id = f"AKIASIM{uuid.uuid4().hex[:13].upper()}"
    secret = simulated_secret(key_id)
    return [{"aws_access_key_id": key_id, "aws_secret_access_key": secret, "aws_region": "us-east-1"}]


FAMILIES = (
    Family(
        name="OpenAI",
        provider="OpenAI",
        model="openai/gpt-4o-mini",
        thinks="openai/gpt-5",
        hides=("chat",),
        tells_stop=False,
    ),
    Family(
        name="OpenAI (Responses alone)",
        provider="OpenAI",
        model="openai/gpt-5.1-codex",
        tells_stop=False,
        hides=("chat",),
    ),
    Family(
        name="Azure OpenAI (v1)",
        provider="Azure",
        model="azure/gpt-4o-mini",
        thinks="azure/gpt-5",
        credentials=_azure(),
        hides=("chat",),
        tells_stop=False,
    ),
    Family(
        name="Azure OpenAI (dated API)",
        provider="Azure",
        model="azure/gpt-4o-mini",
        thinks="azure/gpt-5",
        credentials=_azure(api_version="2025-04-01-preview"),
        hides=("chat",),
        tells_stop=False,
    ),
    Family(name="Anthropic", provider="Anthropic", model="anthropic/claude-haiku-4-5"),
    Family(
        name="Bedrock (Converse)",
        provider="Bedrock",
        model="bedrock/us.amazon.nova-pro-v1:0",
        thinks="bedrock/openai.gpt-oss-120b-1:0",
        credentials=_bedrock_signed,
    ),
    Family(
        name="Bedrock (Anthropic)",
        provider="Bedrock",
        model="bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        credentials=_bedrock_key,
    ),
    Family(name="Gemini", provider="gemini", model="gemini/gemini-3.8-flash", tells_stop=False),
    Family(
        name="Vertex AI (Google)",
        provider="vertex",
        model="vertex/gemini-2.5-flash",
        credentials=lambda world: [vertex_credential(world)],
        tells_stop=False,
    ),
    Family(
        name="Vertex AI (Anthropic)",
        provider="vertex",
        model="vertex/claude-haiku-4-5@20251001",
        credentials=lambda world: [vertex_credential(world)],
    ),
    Family(
        name="Cohere",
        provider="Cohere",
        model="cohere/command-a-03-2025",
        thinks="cohere/command-a-reasoning-08-2025",
        lacks={"document": "it reads plain text alone"},
    ),
    Family(name="Mistral", provider="Mistral", model="mistral/mistral-large-latest", thinks="", tells_stop=False),
    Family(
        name="DeepSeek",
        provider="DeepSeek",
        model="deepseek/deepseek-chat",
        thinks="deepseek/deepseek-reasoner",
        tells_stop=False,
    ),
    Family(name="Groq", provider="Groq", model="groq/openai/gpt-oss-120b", tells_stop=False),
)
