"""OpenAI's embeddings to Cohere's `POST /v2/embed`.

Cohere wants to know what a text is embedded for: `input_type`, Cohere's own member, where the client sends it, else
`search_document`. Vectors in base64 are four-byte floats at both, and go through as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import InvalidParameter, ProviderFailure, ProviderInvalidResponse
from ownkey.domain.usage import Usage
from ownkey.providers.address import Plain, addressed
from ownkey.providers.counts import member, string
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.failures import decode_failure
from ownkey.providers.media.billed import billable
from ownkey.providers.media.embeddings import tokens_in
from ownkey.providers.passthrough import GATEWAY_FIELDS, parsed_answer
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

MAX_TEXTS = 96
"""Of one request (the SDK's documentation of `texts`)."""
OWN_MEMBERS = ("truncate", "max_tokens", "priority")
"""Cohere's own: they go on as they are."""
_EMBED = Plain("/embed")
_FOR_DOCUMENTS = "search_document"
_KNOWN = frozenset({"model", "input", "encoding_format", "dimensions", "input_type", *OWN_MEMBERS, *GATEWAY_FIELDS})


class CohereEmbeddings:
    """A `Translator` of `embeddings`."""

    def encode_request(self, call: Call) -> Encoded:
        """As `Translator` has it."""
        values = call.body.values
        drops = Drops({}, call.provider.display_name)
        members: dict[str, Any] = {
            "input_type": values.get("input_type", _FOR_DOCUMENTS),
            "texts": _texts(values.get("input"), drops),
            "embedding_types": [_encoding(values)],
        }
        if values.get("dimensions") is not None:
            members["output_dimension"] = values["dimensions"]
        members |= {name: values[name] for name in OWN_MEMBERS if name in values}
        drops.drop_given({name: value for name, value in values.items() if name not in _KNOWN})
        return addressed(_EMBED, call, members, drops.dropped)

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """A list of vectors, in the order of the texts."""
        values = parsed_answer(body).values
        vectors = member(values, "embeddings").get(_encoding(call.body.values))
        if not isinstance(vectors, list):
            raise ProviderInvalidResponse("The provider's answer has no embeddings.")
        told = tokens_in(member(member(values, "meta"), "billed_units"))
        reading = Reading(usage=billable(call.model, told), response_id=string(values.get("id")))
        answer = {
            "object": "list",
            "data": [{"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(vectors)],
            "model": call.model_id,
            "usage": _usage(told, reading, annotate),
        }
        return Whole(_dumps(answer).encode(), reading, values)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """There is no stream of it."""
        raise ProviderInvalidResponse("The provider streams what has no stream.")

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """`{"message": …, "id": …}`."""
        return decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """None: no tokens are generated."""
        return ""


def _texts(given: Any, drops: Drops) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise InvalidParameter("`input` is not a text or a list of texts.", param="input")
    if not all(isinstance(each, str) for each in texts):
        raise drops.refusal("input", "it embeds texts, not tokens of another maker's")
    if len(texts) > MAX_TEXTS:
        raise drops.refusal("input", f"it takes at most {MAX_TEXTS} texts a request")
    return texts


def _encoding(values: Mapping[str, Any]) -> str:
    """By OpenAI's word, which is Cohere's too."""
    return "base64" if values.get("encoding_format") == "base64" else "float"


def _usage(told: Usage | None, reading: Reading, annotate: Annotate) -> dict[str, Any]:
    tokens = told.input_tokens if told else 0
    cost = annotate(reading.usage, reading.terms) if reading.usage is not None else {}
    return {"prompt_tokens": tokens, "total_tokens": tokens, **cost}


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
