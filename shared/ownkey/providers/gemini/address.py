"""Google's addresses: a model in the path, a colon, the method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.address import Plain
from ownkey.providers.document import MAX_PARAM_CHARS, REMOVED
from ownkey.providers.translator import Call

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:@[A-Za-z0-9._-]+)?")
"""`gemini-2.5-pro`, `claude-sonnet-4-5@20250929`: nothing that could leave its segment of the path."""
_COLLECTION = "models/"


class MethodAddress(Plain):
    """`{base_url}/{collection}/{model}:{method}`, the model nowhere else."""

    __slots__ = ("_collection", "_streamed", "_whole")

    def __init__(
        self, collection: str, whole: str, streamed: str | None = None, forwarded: frozenset[str] = frozenset()
    ):
        """
        Args:
            collection: `models`, `publishers/google/models`.
            whole: The method, and a query if it needs one.
            streamed: The method where a stream is wanted; None: the same.
            forwarded: As `Plain` has it.
        """
        super().__init__("", forwarded)
        self._collection = collection
        self._whole = whole
        self._streamed = streamed or whole

    def url(self, call: Call) -> str:
        """As `Address` has it."""
        method = self._streamed if call.streamed else self._whole
        return f"{call.base_url}/{self._collection}/{model_name(call)}:{method}"

    def members(self, call: Call) -> Mapping[str, Any]:
        """No model."""
        return {"model": REMOVED}


def model_name(call: Call) -> str:
    """The model as it stands in a path.

    Raises:
        UnsupportedParameter: no model can have this name.
    """
    name = call.model_id.removeprefix(_COLLECTION)
    if not _MODEL.fullmatch(name):
        raise UnsupportedParameter(
            f"{call.provider.display_name} has no model of the name `{name[:MAX_PARAM_CHARS]}`.", param="model"
        )
    return name
