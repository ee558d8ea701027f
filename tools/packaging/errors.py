"""What stops a build."""

from __future__ import annotations


class BuildError(Exception):
    """The artefact must not ship; the message says why and what to do."""
