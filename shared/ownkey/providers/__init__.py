"""What each provider's dialect demands, without any I/O: bytes and dataclasses in, bytes and dataclasses out.

=============== ===========================================================================================
`translator`    the seam: `Call`, `Encoded`, `Whole`, `StreamDecoder`, the `Translator` protocol
`passthrough`   same dialect on both sides: forward, and read on the way
`openai`        chat completions
`anthropic`     messages, count_tokens
`failures`      error answers of any shape
`authorize`     the headers that authorise a request: a key's, or a signature's
`probe`         validating a credential
`credentials`   the key's header
`exchanges`     token endpoints; `reports`, what a provider says was used and charged
`headers`       which response headers go on to the client
`document`      a JSON object, changed member by member
`sse`           whole events out of pieces
`counts`        other people's JSON, read without trust
`tokens`        estimates
=============== ===========================================================================================

A dialect is a file here, a provider a row in `catalog/providers.toml`. A translator between two dialects is one more
entry in the table below.
"""

from collections.abc import Mapping

from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages
from ownkey.providers.authorize import authorize
from ownkey.providers.document import Document, InvalidDocument
from ownkey.providers.headers import forwarded_headers, upstream_request_id
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.probe import ProbeAnswer, ProbeRequest, key_probe, read_probe
from ownkey.providers.tokens import tokens_of, tokens_of_prompt
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Translator, Whole

_TRANSLATORS: Mapping[tuple[Surface, Dialect], Translator] = {
    (Surface.CHAT, Dialect.OPENAI): OpenAiChat(),
    (Surface.MESSAGES, Dialect.ANTHROPIC): AnthropicMessages(),
    (Surface.COUNT_TOKENS, Dialect.ANTHROPIC): AnthropicCountTokens(),
}


def translator_of(surface: Surface, family: Dialect) -> Translator | None:
    """The translator from a surface to a provider's dialect; None where nothing connects the two."""
    return _TRANSLATORS.get((surface, family))


__all__ = [
    "Annotate",
    "Call",
    "Document",
    "Encoded",
    "InvalidDocument",
    "ProbeAnswer",
    "ProbeRequest",
    "Reading",
    "StreamDecoder",
    "Translator",
    "Whole",
    "authorize",
    "forwarded_headers",
    "key_probe",
    "read_probe",
    "tokens_of",
    "tokens_of_prompt",
    "translator_of",
    "upstream_request_id",
]
