"""A request for embeddings, read once; the seam to a provider's API; the translator over both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ownkey.domain.errors import (
    InvalidParameter,
    ProviderFailure,
    ProviderInvalidResponse,
    UnsupportedParameter,
)
from ownkey.domain.usage import STANDARD_TERMS, Usage
from ownkey.providers.document import MAX_PARAM_CHARS
from ownkey.providers.media.billed import billable
from ownkey.providers.media.embeddings import coded
from ownkey.providers.passthrough import GATEWAY_FIELDS, parsed_answer
from ownkey.providers.tokens import tokens_of_input
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "stream", *GATEWAY_FIELDS})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants embedded."""

    texts: tuple[str, ...]
    dimensions: int | None
    as_base64: bool
    own: Mapping[str, Any]
    """The provider's own members, which go on as they are: `EmbeddingsApi.own`."""
    dropped: tuple[str, ...]
    """The client's members that no other API has."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A provider's vectors, in the order of the texts."""

    vectors: Sequence[Sequence[float] | str]
    """Numbers, or their base64 as 32-bit floats, little-endian first."""
    usage: Usage | None = None
    id: str | None = None


class EmbeddingsApi(Protocol):
    """A provider's API."""

    own: frozenset[str]
    """What a client may say in the provider's words, though OpenAI has none for it."""

    def write_request(self, call: Call, asked: Asked) -> Encoded:
        """The provider's request.

        Raises:
            UnsupportedParameter: it cannot express it.
        """

    def read_answer(self, values: Mapping[str, Any]) -> Embedded:
        """A whole answer's vectors.

        Raises:
            ProviderInvalidResponse: there are none.
        """

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""


class Crossed:
    """A `Translator` from the surface `embeddings` to an API."""

    def __init__(self, api: EmbeddingsApi) -> None:
        self._api = api

    def encode_request(self, call: Call) -> Encoded:
        """As `Translator` has it."""
        return self._api.write_request(call, read_request(call, self._api.own))

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """OpenAI's answer. Where the provider tells no usage, the estimate that is recorded stands in it."""
        values = parsed_answer(body).values
        asked = read_request(call, self._api.own)
        found = self._api.read_answer(values)
        if len(found.vectors) != len(asked.texts):
            raise ProviderInvalidResponse("The provider's answer has not one vector for each text.")
        reading = Reading(billable(call.model, found.usage), response_id=found.id)
        used = reading.usage or Usage(input=tokens_of_input(call.body.values))
        tokens = {"prompt_tokens": used.input_tokens, "total_tokens": used.total_tokens}
        data = [
            {"object": "embedding", "index": index, "embedding": _coded(vector, as_base64=asked.as_base64)}
            for index, vector in enumerate(found.vectors)
        ]
        usage = {**tokens, **annotate(used, STANDARD_TERMS)}
        answer = {"object": "list", "data": data, "model": call.model_id, "usage": usage}
        return Whole(_dumps(answer).encode(), reading, values)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """There is no stream of it."""
        raise ProviderInvalidResponse("The provider streams what has no stream.")

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As the API has it."""
        return self._api.decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """None: no tokens are generated."""
        return ""


def read_request(call: Call, own: frozenset[str]) -> Asked:
    """OpenAI's request.

    Args:
        own: As `EmbeddingsApi` has it.

    Raises:
        InvalidParameter: a member is of the wrong kind. UnsupportedParameter: its input is in OpenAI's own tokens.
    """
    values = call.body.values
    given = values.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise InvalidParameter("`input` is not a text or a list of them.", param="input")
    if not all(isinstance(text, str) for text in texts):
        if any(isinstance(text, int | list) for text in texts):
            raise UnsupportedParameter(
                f"{call.provider.display_name} embeds text, not OpenAI's tokens.",
                param="input",
                fix="Send the text itself (LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False).",
            )
        raise InvalidParameter("`input` is not a text or a list of them.", param="input")
    dimensions, coding = values.get("dimensions"), values.get("encoding_format")
    if dimensions is not None and (not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1):
        raise InvalidParameter("`dimensions` is not a number of at least 1.", param="dimensions")
    if coding not in (None, "float", "base64"):
        raise InvalidParameter("`encoding_format` is not `float` or `base64`.", param="encoding_format")
    known = _KNOWN | own
    others = [name[:MAX_PARAM_CHARS] for name, value in values.items() if name not in known and value is not None]
    said = {name: values[name] for name in sorted(own) if values.get(name) is not None}
    return Asked(tuple(texts), dimensions, coding == "base64", said, tuple(others))


def check_count(call: Call, asked: Asked, most: int) -> None:
    """Refuses more texts than the API takes at once: one request of a client is one of ours, and one record.

    Raises:
        UnsupportedParameter: there are more.
    """
    if len(asked.texts) > most:
        raise UnsupportedParameter(
            f"{call.provider.display_name} takes at most {most} texts a request for this model; these are "
            f"{len(asked.texts)}.",
            param="input",
            fix=f"Send them in batches of {most} (LangChain: chunk_size={most}; LlamaIndex: embed_batch_size={most}).",
        )


def vectors_in(value: Any) -> list[list[float]]:
    """Lists of numbers.

    Raises:
        ProviderInvalidResponse: it is none.
    """
    if isinstance(value, list) and all(isinstance(vector, list) for vector in value):
        numbers = [number for vector in value for number in vector]
        if all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            return value
    raise ProviderInvalidResponse("The provider's answer has no vectors.")


def _coded(vector: Sequence[float] | str, *, as_base64: bool) -> Any:
    if not as_base64 or isinstance(vector, str):
        return vector
    return coded(vector)


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
