"""Between dialects: any client's surface reaches any provider's API by way of what both mean.

```
client's bytes ─ ClientDialect.read_request ─▶ Conversation ─ ProviderApi.write_request ─▶ provider's bytes
client's bytes ◀ ClientDialect.write_answer ── Answer       ◀ ProviderApi.read_answer  ── provider's bytes
client's bytes ◀ EventWriter.write ─────────── Event        ◀ EventReader.feed ───────── provider's bytes
```

============== ==========================================================================
`conversation` a request: turns of parts, tools, wishes
`answer`       an answer: whole, or as events; `folded` makes the one of the other
`drops`        what a target cannot express: dropped and reported, or refused
`strict`       how a client's JSON is read
`sides`        the protocols of the two sides
`effort`       how much is to be thought: in words, in tokens
`signatures`   signatures of thinking within a dialect that is not their own
`call_ids`     ids of calls, each once in a conversation
`arguments`    arguments of calls as objects
`stops`        stop sequences for an API that has none
`translator`   puts a client's dialect and a provider's API together to a `Translator`
============== ==========================================================================

Where an API is found is `ownkey.providers.address`'s: shared with what passes through.

A stream and its whole twin are the same `Answer`: a reader's events fold to what `read_answer` reads. Nothing here
knows a dialect; nothing in a dialect knows another.
"""

from ownkey.providers.crossing.answer import (
    Answer,
    AnswerPart,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Counted,
    Ended,
    Event,
    Finish,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    SignatureAdded,
    TextAdded,
    folded,
    text_of,
)
from ownkey.providers.crossing.conversation import (
    EFFORTS,
    FREE_FORM_SCHEMA,
    Audio,
    CacheMark,
    Citation,
    Conversation,
    Document,
    FileId,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    Logprob,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    as_arguments,
    free_form_names,
)
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.crossing.sides import (
    ClientDialect,
    CountingApi,
    EventReader,
    EventWriter,
    ProviderApi,
)
from ownkey.providers.crossing.translator import CountCrossing, CountingClient, Crossing, CrossingDecoder

__all__ = [
    "EFFORTS",
    "FREE_FORM_SCHEMA",
    "Answer",
    "AnswerPart",
    "ArgumentsAdded",
    "Audio",
    "Begun",
    "CacheMark",
    "Citation",
    "CitationAdded",
    "ClientDialect",
    "Conversation",
    "CountCrossing",
    "Counted",
    "CountingApi",
    "CountingClient",
    "Crossing",
    "CrossingDecoder",
    "Document",
    "Drops",
    "Ended",
    "Event",
    "EventReader",
    "EventWriter",
    "FileId",
    "Finish",
    "Format",
    "HostedTool",
    "Image",
    "Inline",
    "Link",
    "Logprob",
    "LogprobsAdded",
    "OutputFormat",
    "Part",
    "PartBegun",
    "PartEnded",
    "ProviderApi",
    "Reasoning",
    "RedactedThinking",
    "Refusal",
    "Role",
    "SignatureAdded",
    "Source",
    "Text",
    "TextAdded",
    "Thinking",
    "Tool",
    "ToolChoice",
    "ToolResult",
    "ToolUse",
    "Turn",
    "as_arguments",
    "folded",
    "free_form_names",
    "text_of",
]
