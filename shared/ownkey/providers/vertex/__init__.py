"""Vertex AI: Google's, Anthropic's and open models, each in its own dialect, at the address of a project and location.

=========== ========================================================================================================
`google`    `{base_url}/publishers/google/models/{model}:generateContent`, under v1beta1 instead of v1
`address`   where those are, for conversations and embeddings
`anthropic` `{base_url}/publishers/anthropic/models/{model}:rawPredict`: messages, passed through and as an API
`betas`     … and which of their beta features are known there
`mistral`   `{base_url}/publishers/mistralai/models/{model}:rawPredict`: chat completions, in the same two ways
`openai`    `{base_url}/endpoints/openapi/chat/completions`: the others, named `publisher/model`; in the same two ways
`failing`   errors, which are Google's whosever the model
=========== ========================================================================================================

The base URL has project and location (`catalog/providers.toml`); what is presented is a token that the service
account's key was exchanged for (`ownkey.tokens`). Each module has what `selection` loads by name, and no more: a
request to one maker's model pays for no other's dialect.
"""
