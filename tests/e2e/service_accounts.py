"""Google service accounts that the simulated Google knows: the key files that Google's console would write."""

from __future__ import annotations

import uuid
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.world import World

EMAIL = "your-sa@your-project.iam.gserviceaccount.com"


def key_file(world: World, email: str = EMAIL) -> dict[str, Any]:
    """A new key's file; its account's earlier keys are good no more."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    world.call(world.up.simulator.tokens.trust_service_account, email, public.decode())
    return {
        "type": "service_account",
        "project_id": "your-project",
        "private_key_id": uuid.uuid4().hex,
        "private_key": private.decode(),
        "client_email": email,
    }


def vertex_credential(world: World, location: str = "us-central1") -> dict[str, Any]:
    """A credential's body, of a service account of its own."""
    email = f"sa-{uuid.uuid4().hex[:8]}@your-project.iam.gserviceaccount.com"
    return {"vertex_service_account": key_file(world, email), "vertex_location": location}
