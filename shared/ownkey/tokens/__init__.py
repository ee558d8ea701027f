"""Short-lived tokens for credentials that are exchanged before they are presented. Kept in memory, never stored.

========= ====================================================================================
`broker`  `TokenBroker.present`: a credential's fields as a provider takes them
`held`    tokens in hand: until when they serve, one exchange at a time
========= ====================================================================================

What stands between two tenants here: docs/decisions/0010-keyless.md.
"""

from ownkey.tokens.broker import TokenBroker

__all__ = ["TokenBroker"]
