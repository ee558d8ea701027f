"""What each provider's dialect demands, without any I/O: bytes and dataclasses in, bytes and dataclasses out.

=============== ===========================================================================================
`translator`    the seam: `Call`, `Encoded`, `Whole`, `StreamDecoder`, the `Translator` protocol
`passthrough`   same dialect on both sides: forward, and read on the way
`selection`     which translator serves a surface from a provider
`otherwise`     passed through; what that cannot ask, by way of a crossing
`openai`        OpenAI's dialects
`anthropic`     Anthropic's
`bedrock`       Amazon Bedrock's, and Anthropic's there
`azure`         OpenAI's at Azure's addresses
`cohere`        Cohere's
`gemini`        Google's
`vertex`        Google's, Anthropic's and OpenAI's at Vertex AI's addresses
`responses`     OpenAI's Responses
`embeddings`    embeddings to providers with words of their own
`media`         what is no conversation: vectors, pictures, sound, verdicts, ranks
`crossing`      between dialects: what a client says, whatever it speaks, and what a provider answers
`address`       where an API is found, and what follows from the place
`failures`      error answers of any shape
`authorize`     the headers that authorise a request: a key's, or a signature's
`probe`         validating a credential
`credentials`   the key's header
`exchanges`     token endpoints; `reports`, what a provider says was used and charged
`headers`       which response headers go on to the client
`document`      a JSON object, changed member by member
`form`          a form with files, likewise
`sse`           whole events out of pieces
`counts`        other people's JSON, read without trust
`tokens`        estimates
=============== ===========================================================================================

A dialect is a package here, a provider a row in `catalog/providers.toml`.
"""

from ownkey.providers.authorize import authorize
from ownkey.providers.document import Document, InvalidDocument
from ownkey.providers.form import Form
from ownkey.providers.headers import forwarded_headers, upstream_request_id
from ownkey.providers.probe import ProbeAnswer, ProbeRequest, key_probe, read_probe
from ownkey.providers.selection import translator_for, translator_of
from ownkey.providers.tokens import tokens_of, tokens_of_input, tokens_of_prompt
from ownkey.providers.translator import Annotate, AnswerKind, Call, Encoded, Reading, StreamDecoder, Translator, Whole

__all__ = [
    "Annotate",
    "AnswerKind",
    "Call",
    "Document",
    "Encoded",
    "Form",
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
    "tokens_of_input",
    "tokens_of_prompt",
    "translator_for",
    "translator_of",
    "upstream_request_id",
]
