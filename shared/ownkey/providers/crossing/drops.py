"""What a target dialect cannot express: dropped, and reported; or refused.

The rule (docs/compatibility.md): what only tunes an answer (sampling, hints, labels) is dropped, and its name reported
in `X-Ownkey-Dropped` and in the record. What changes what an answer is or says (its form, its number, its tools, parts
of the prompt) is refused: the next candidate may do better. With `provider.require_parameters` both are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.document import MAX_PARAM_CHARS

_MAX_NAMES = 30


class Drops:
    """Collects the names of what is left out, in the client's own words."""

    __slots__ = ("_dropped", "_names", "_target")

    def __init__(self, names: Mapping[str, str], target: str) -> None:
        """
        Args:
            names: `Conversation.names`.
            target: What the refusal calls the provider's API: its display name.
        """
        self._names = names
        self._target = target
        self._dropped: dict[str, None] = {}

    @property
    def dropped(self) -> tuple[str, ...]:
        """The client's names of what was dropped, each once, in order; names come from outside, and are bounded."""
        return tuple(dict.fromkeys(name[:MAX_PARAM_CHARS] for name in self._dropped))[:_MAX_NAMES]

    def drop(self, name: str) -> None:
        """Leaves something out that only tunes the answer.

        Args:
            name: A field of `Conversation`, or already the client's name (`messages.name`).
        """
        self._dropped[self._names.get(name, name)] = None

    def drop_given(self, values: Mapping[str, object]) -> None:
        """Leaves out all of these that were given: by field, None and empty ones were not."""
        for name, value in values.items():
            if value is not None and value != () and value != {}:
                self.drop(name)

    def refusal(self, name: str, why: str) -> UnsupportedParameter:
        """The error for what cannot be left out: raise it.

        Args:
            why: Half a sentence on what the API lacks: "it has no strict schemas".
        """
        param = self._names.get(name, name)
        return UnsupportedParameter(
            f"{self._target} cannot serve `{param}`: {why}.", param=param, details={"unsupported": [param]}
        )
