"""Cohere's API v2.

============== ====================================================
`api`          chat: a `crossing.ProviderApi`
`requests_out` a conversation as Cohere's request
`answers_in`   Cohere's answers and streams, and how it counts
`embed`        OpenAI's embeddings to Cohere's
============== ====================================================

Facts from cohere 7.3: `v2/raw_client.py`, `v2/types`, `types`; and docs.cohere.com/v2 (streaming, tool use, structured
outputs, reasoning, errors).
"""
