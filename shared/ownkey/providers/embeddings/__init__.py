"""Embeddings across dialects: OpenAI's request to providers that have another, their vectors in OpenAI's answer.

========= ==================================================================
`crossed` what is asked, the seam (`EmbeddingsApi`), the translator over it
`bedrock` Amazon's Titan and Cohere's models at Bedrock
`google`  Google's `batchEmbedContents`, and Vertex AI's `predict`
========= ==================================================================

Cohere's is `cohere.embed`.

Facts from openai-python 3.52 (`types/embedding_create_params.py`), cohere-python 7.3 (`v2/raw_client.py`), google-genai
3.4 (`models.py`).
"""
