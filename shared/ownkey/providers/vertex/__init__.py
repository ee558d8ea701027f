"""Vertex AI: Google's, Anthropic's and open models, each in its own dialect, at the address of a project and location.

====== =============================================================================================
`apis` the dialects' translators and APIs with Vertex AI's addresses, for `selection` to load by name
====== =============================================================================================

The base URL has project and location (`catalog/providers.toml`); what is presented is a token that the service
account's key was exchanged for (`ownkey.tokens`).
"""
