"""Moderations: an answer without usage. What went in is estimated, and free where the provider takes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import member
from ownkey.providers.media.embeddings import tokens_in
from ownkey.providers.media.passing import Passing
from ownkey.providers.translator import Call


class Moderations(Passing):
    """`moderations` to providers that speak OpenAI's."""

    path = "moderations"

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """OpenAI tells none; Mistral tells tokens."""
        return tokens_in(member(values, "usage"))
