"""What can go wrong on the way to a provider; the tree is drawn in the package's docstring.

Messages are ours: whatever lies below is neither chained nor shown, whatever it may carry.
"""

from __future__ import annotations


class UpstreamFailure(Exception):
    """No whole answer."""


class UpstreamUnreachable(UpstreamFailure):
    """No connection, or it was closed before any answer."""


class UpstreamTimeout(UpstreamFailure):
    """Connected, but silent for too long."""


class UpstreamBroken(UpstreamFailure):
    """The answer began and stopped before its end."""


class UpstreamTooLarge(UpstreamFailure):
    """The answer is larger than was allowed for."""
