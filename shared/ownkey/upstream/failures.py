"""What can go wrong on the way to a provider; the tree is drawn in the package's docstring.

Messages are ours: aiohttp's exceptions carry request headers, so they are never chained or shown.
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
