"""What is no conversation, to providers that speak OpenAI's or Cohere's words for it: passed through.

================ =====================================================================
`passing`        what they share: the client's body goes on, the answer is read
`embeddings`     `POST /embeddings`
`images`         `POST /images/generations`
`speech`         `POST /audio/speech`
`transcriptions` `POST /audio/transcriptions` and `/audio/translations`: forms
`moderations`    `POST /moderations`
`rerank`         `POST /rerank`, in Cohere's shape
`billed`         which units a model is billed by
================ =====================================================================

Facts from openai-python 3.52 (`types/`, `types/audio/`) and cohere-python 7.3 (`v2/types/v2rerank_response.py`).
"""
