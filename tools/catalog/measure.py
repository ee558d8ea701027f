"""What docs/decisions/0004-catalog.md counts: sizes, times in fresh processes, how much the second source covers."""

from __future__ import annotations

import gzip
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from genai_prices.data_snapshot import get_snapshot

from ownkey.catalog import Catalog, ValidationStatus
from tools.catalog.build import PACKAGE, SIGNED_OFF, provider_table
from tools.catalog.oracle import read_sign_offs

_RUNS = 11
_LOAD = """
import time
import ownkey.catalog
start = time.perf_counter()
catalog = ownkey.catalog.Catalog.load()
loaded = time.perf_counter()
catalog.find_provider("Groq"), catalog.providers_of("gpt-4o"), catalog.model("openai", "gpt-4o")
print(loaded - start, time.perf_counter() - loaded)
"""


def measured() -> Iterator[str]:
    """A line for each fact."""
    catalog = Catalog.load()
    models = sum(len(catalog.models(each)) for each in catalog.provider_ids)
    text = (PACKAGE / "models.json").read_bytes()
    yield f"{models} models in {len(text) // 1000} KB, {len(gzip.compress(text)) // 1000} KB gzipped"
    times = [tuple(map(float, _fresh().split())) for _ in range(_RUNS)]
    load, look = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    yield f"load {load:.2f} ms, the first look-ups {look:.2f} ms (fresh processes, median of {_RUNS})"
    statuses = Counter(each.validation.status for each in catalog.providers)
    yield f"{len(catalog.provider_ids)} providers, {statuses[ValidationStatus.UNVERIFIED]} of them unverified"
    kept = Counter(sign_off.keep for sign_off in read_sign_offs(SIGNED_OFF))
    yield f"{_in_both(catalog)} models in both sources, {kept.total()} prices signed off: {dict(kept)}"


def _fresh() -> str:
    run = [sys.executable, "-c", _LOAD]
    path = str(Path(PACKAGE).parents[1])
    return subprocess.run(run, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True).stdout


def _in_both(catalog: Catalog) -> int:
    theirs = {provider.id: provider for provider in get_snapshot().providers}
    names = {row["id"]: name for row in provider_table() if (name := row.get("price_source", {}).get("genai_prices"))}
    listed = ((name, model) for provider_id, name in names.items() for model in catalog.models(provider_id))
    return sum(model.prices is not None and theirs[name].find_model(model.id) is not None for name, model in listed)
