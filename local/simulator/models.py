"""The models each provider has. Those of OpenAI and Anthropic are in models.json; ids as in their SDKs' type lists."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

CREATED_S = 1_767_225_600
CREATED_AT = "2026-01-01T00:00:00Z"
GENERIC = ("sim-large", "sim-small")


@cache
def vendor_models(vendor: str) -> tuple[dict[str, Any], ...]:
    """The rows of models.json for one vendor.

    OpenAI: id, created (s), reasoning, `serves`, `responses_only` (chat completions refuses it).
    Anthropic: id, created_at, line, display_name, max_tokens, `serves`.
    `serves` is the dated model that an alias answers with.
    """
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("models.json").read_text())[vendor]
    return tuple(rows)


def plain_row(model: str) -> dict[str, Any]:
    """A row for a model about which only the id is known."""
    return {
        "id": model,
        "created": CREATED_S,
        "created_at": CREATED_AT,
        "display_name": model,
        "max_tokens": 64_000,
    }


class Models:
    """Which models a provider has: its vendor's, those registered in their place, or any id at all."""

    def __init__(self) -> None:
        self._registered: dict[str, tuple[str, ...]] = {}

    def set(self, provider: str, models: Iterable[str] | None) -> None:
        """Give a provider exactly these models, or with None those it began with."""
        if models is None:
            self._registered.pop(provider, None)
        else:
            self._registered[provider] = tuple(models)

    def listed(self, provider: str, vendor: str | None) -> list[dict[str, Any]]:
        """The rows of `GET /models`."""
        rows = list(vendor_models(vendor)) if vendor else [plain_row(each) for each in GENERIC]
        if provider not in self._registered:
            return rows
        known = {row["id"]: row for row in rows}
        return [known.get(each) or plain_row(each) for each in self._registered[provider]]

    def find(self, provider: str, vendor: str | None, model: str) -> dict[str, Any] | None:
        """The row of a model, or None where the provider has no such one."""
        for row in self.listed(provider, vendor):
            if row["id"] == model:
                return row
        open_to_any = vendor is None and provider not in self._registered
        return plain_row(model) if open_to_any else None
