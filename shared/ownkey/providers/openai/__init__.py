"""OpenAI's dialects: chat completions and what belongs to them.

============== ===================================================================================
`chat`         chat completions to a provider that speaks them too: passed through
`client`       clients of chat completions: their half of a crossing
`api`          providers of chat completions: theirs
`requests_in`  of `client`: a request read; `messages_in`, `parts_in`: its messages, their parts
`answers_out`  of `client`: answers written, whole and in chunks
`requests_out` of `api`: a request written; `messages_out`: its messages
`answers_in`   of `api`: answers read, whole and in chunks; `tags`: thoughts in their text
`calls`        of `answers_in`: which call a fragment is of; `logprobs`, both ways
`departures`   how a provider departs from the dialect: a request changed by its row's `parameters`
`thoughts`     `reasoning_details`, read and written; `finishes`, the finish reasons
`identifiers`  tools' names, calls' and users' ids as OpenAI takes them; `schemas`, of JSON
`usage`        the arithmetic of tokens, both ways
============== ===================================================================================
"""

from ownkey.providers.openai.chat import CHAT, OpenAiChat
from ownkey.providers.openai.usage import read_usage, write_usage

__all__ = ["CHAT", "OpenAiChat", "read_usage", "write_usage"]
