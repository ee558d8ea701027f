"""Secrets of simulated AWS keys: derived from the key's id, so that whoever checks a signature needs no register."""

from __future__ import annotations

import base64
from hashlib import sha256


def simulated_secret(access_key_id: str) -> str:
    """The secret access key of an access key id: 40 characters, as AWS's."""
    return base64.b64encode(sha256(f"simulated {access_key_id}".encode()).digest()[:30]).decode()
