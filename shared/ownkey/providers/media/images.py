"""Pictures: billed by tokens (`usage`, gpt-image) or by the piece.

A stream has partial pictures, and each one whole as it is done. An SVG is written by a second model, which is billed
beside the usage (`svg_usage`; openai-python 3.52, `types/images_response.py`): by the account's own credentials alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, tells
from ownkey.providers.media.billed import IMAGE, billable, has_fee, is_by
from ownkey.providers.media.passing import LastEvent, Passing, for_own_keys
from ownkey.providers.passthrough import Scanner
from ownkey.providers.translator import Annotate, AnswerKind, Call, StreamDecoder

_LAST_EVENT = "image_generation.completed"


class Images(Passing):
    """`images/generations` to providers that speak OpenAI's."""

    path = "images/generations"

    def changes(self, call: Call) -> dict[str, Any]:
        """None.

        Raises:
            UnsupportedParameter: as above.
        """
        values = call.body.values
        for name, asked in (("output_format", values.get("output_format") == "svg"), ("svg", values.get("svg"))):
            if asked:
                for_own_keys(call, name, "the provider bills the model that writes the SVG apart")
        return {}

    def answer(self, call: Call) -> AnswerKind:
        """A stream where it is asked for and there is one."""
        return AnswerKind.EITHER if call.streamed else AnswerKind.WHOLE

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """Tokens, or the pictures that have come where a model is billed by those."""
        told = billable(call.model, read_usage(member(values, "usage")))
        if (told is not None and not is_by(call.model, IMAGE, "image_output")) or not has_fee(call.model, IMAGE):
            return told
        made = values.get("data")
        return Usage(images=len(made) if isinstance(made, list) else int("b64_json" in values))

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Events with pictures in base64."""
        events = LastEvent(call, annotate, self.usage, _LAST_EVENT)
        return Scanner(events, events.reading)


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """Tokens of the prompt and its pictures, and of the pictures made; what is not told apart is pictures."""
    if not tells(usage, "input_tokens", "output_tokens"):
        return None
    into, out = member(usage, "input_tokens_details"), member(usage, "output_tokens_details")
    tokens_in, tokens_out = count(usage, "input_tokens"), count(usage, "output_tokens")
    image_in, text_out = min(count(into, "image_tokens"), tokens_in), min(count(out, "text_tokens"), tokens_out)
    cached = min(count(into, "cached_tokens"), tokens_in - image_in)
    return Usage(
        input=tokens_in - image_in - cached,
        cache_read=cached,
        image_input=image_in,
        output=text_out,
        image_output=tokens_out - text_out,
    )
