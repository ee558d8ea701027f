"""What is no conversation, at a deployment: OpenAI's own bodies at Azure's addresses.

Which paths stand below a deployment's: openai-python 3.52 `lib/azure.py`.
"""

from __future__ import annotations

from ownkey.providers.azure.address import AzureAddress
from ownkey.providers.media.embeddings import Embeddings
from ownkey.providers.media.images import Images
from ownkey.providers.media.speech import Speech
from ownkey.providers.media.transcriptions import Transcriptions, Translations


def embeddings() -> Embeddings:
    """`embeddings`."""
    return Embeddings(AzureAddress("/embeddings"))


def images() -> Images:
    """`images/generations`."""
    return Images(AzureAddress("/images/generations"))


def speech() -> Speech:
    """`audio/speech`."""
    return Speech(AzureAddress("/audio/speech"))


def transcriptions() -> Transcriptions:
    """`audio/transcriptions`."""
    return Transcriptions(AzureAddress("/audio/transcriptions"))


def translations() -> Translations:
    """`audio/translations`."""
    return Translations(AzureAddress("/audio/translations"))
