"""What was measured: rounds of values by measure and target."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

from bench.spread import Spread, added


class Measure(StrEnum):
    """What is measured; the unit stands in the name."""

    CPU_MS = "cpu_ms"
    CPU_BILLING_MS = "cpu_billing_ms"
    CPU_EMULATION_MS = "cpu_emulation_ms"
    CPU_CHUNK_US = "cpu_chunk_us"
    CPU_CHUNK_EMULATION_US = "cpu_chunk_emulation_us"
    CPU_CROSSED_CHUNK_US = "cpu_crossed_chunk_us"
    P50_MS = "p50_ms"
    P95_MS = "p95_ms"
    FIRST_EVENT_MS = "first_event_ms"
    AT_ONCE_MS = "at_once_ms"
    CROSSED_AT_ONCE_MS = "crossed_at_once_ms"
    CONCURRENT_P50_MS = "concurrent_p50_ms"
    CONCURRENT_PER_S = "concurrent_per_s"
    CONCURRENT_CPU_MS = "concurrent_cpu_ms"
    COLD_START_MS = "cold_start_ms"
    IMPORT_MS = "import_ms"
    REGISTRY_MS = "registry_ms"
    VAULT_OPEN_US = "vault_open_us"
    VAULT_DIGEST_US = "vault_digest_us"
    VAULT_DECRYPT_US = "vault_decrypt_us"
    VAULT_SCRUB_US = "vault_scrub_us"
    MEMORY_START_MB = "memory_start_mb"
    MEMORY_HALF_MB = "memory_half_mb"
    MEMORY_END_MB = "memory_end_mb"


@dataclass(slots=True)
class Figures:
    """The rounds of every measure of every target."""

    rounds: dict[tuple[Measure, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, measure: Measure, target_id: str, value: float) -> None:
        """One more round."""
        self.rounds[measure, target_id].append(value)

    def of(self, measure: Measure, target_id: str) -> Spread | None:
        """None where it was not measured."""
        values = self.rounds.get((measure, target_id))
        return Spread.of(values) if values else None

    def added(self, measure: Measure, target_id: str, base_id: str) -> Spread | None:
        """How much more than the base, round by round; None where either was not measured."""
        values, base = self.rounds.get((measure, target_id)), self.rounds.get((measure, base_id))
        return Spread.of(added(values, base)) if values and base else None
