"""A same dialect passed through; and what a provider's row says it refuses, said in another way where there is one.

A row may refuse JSON schemas (`catalog.Parameters`): a crossing asks by way of a tool for what passing through cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure, UnsupportedParameter
from ownkey.providers.translator import Annotate, Call, Encoded, StreamDecoder, Translator, Whole

_CROSSED = "crossed"


class Otherwise:
    """A `Translator` of two: the second where the first refuses."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Translator, second: Translator) -> None:
        """The second answers as the first does, by the same errors."""
        self._first = first
        self._second = second

    def encode_request(self, call: Call) -> Encoded:
        """By the first; where that refuses, by the second, unless it refuses too."""
        try:
            return self._first.encode_request(call)
        except UnsupportedParameter as refused:
            try:
                encoded = self._second.encode_request(call)
            except UnsupportedParameter:
                raise refused from None
        call.kept[_CROSSED] = True
        return encoded

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """By the one that asked."""
        return self._asked(call).decode_whole(call, body, annotate)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """By the one that asked."""
        return self._asked(call).decode_stream(call, annotate)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """The same by both."""
        return self._first.decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """By the one that can read it."""
        return self._first.text_of_answer(answer) or self._second.text_of_answer(answer)

    def _asked(self, call: Call) -> Translator:
        return self._second if _CROSSED in call.kept else self._first
