"""Amazon Bedrock: Converse for all makers' models, InvokeModel for Anthropic's in Anthropic's own dialect.

============= =======================================================================
`api`         Converse, whole and streamed, and its count of tokens
`requests`    a conversation as Converse has it
`tools`       its tools, and what its text must be
`names`       what tools may be called there
`parts`       its content: texts, media, tools' calls and results, thinking
`answers`     an answer, whole
`events`      an answer, as events
`families`    what some makers' models want otherwise
`invoke`      Anthropic's dialect at Bedrock: passed through, and counted
`crossed`     the same for clients of other dialects
`address`     the URL with the model in it, and what else the place demands
`betas`       which beta features of Anthropic's it knows
`eventstream` AWS's binary framing
`failures`    what Bedrock says instead of an answer
============= =======================================================================

Facts from botocore 1.44 (`bedrock-runtime` 2023-09-30) and anthropic-sdk-python 2.11 (`lib/bedrock`).
"""
