"""Google's own dialect, `generateContent`: at AI Studio (v1beta), and at Vertex AI under other addresses (`vertex`).

============ =========================================================================
`api`        `GeminiApi`: a conversation had, or its tokens counted
`address`    the model in the path, with what is asked of it behind a colon
`contents`   turns as contents of two roles, with thought signatures where they were
`wishes`     tools, `toolConfig`, `generationConfig`
`names`      tools' names, where Google takes others
`thinking`   what each line of models takes of a wish for reasoning
`reader`     answers, whole and in chunks, as events
`citations`  grounding and recitation, in characters instead of bytes
`usage`      token counts as buckets
`failures`   Google's error objects
============ =========================================================================

Facts from google-genai 3.4 (`types.py`, and the converters of `models.py`) unless a source stands beside them.
"""
