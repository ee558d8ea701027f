"""Azure OpenAI: OpenAI's dialects at Azure's addresses, with what Azure's content filter adds to them.

========= ======================================================================
`address` a deployment's addresses, by version of the API or without one
`chat`    chat completions, passed through
`apis`    Responses, passed through; both of OpenAI's APIs, to be crossed to
`media`   what is no conversation, passed through
`claude`  Anthropic's models there, by Anthropic's own API
========= ======================================================================

Facts from openai-python 3.52 (`lib/azure.py`: which paths stand below a deployment, `api-version`, `api-key`), and
learn.microsoft.com, foundry/openai (api-version-lifecycle, content-filter-annotations).
"""
