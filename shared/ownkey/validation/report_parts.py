"""What is asked of a provider's report of usage, and what comes back: JSON in, JSON out, no secret in either.

```
{"action": "report", "candidate": {…}, "first": "2026-11-18", "last": "2026-11-20", "place": null}
→ {"lines": […], "charges": […], "keys": […], "place": {…} or null, "refused": null, "waits": null}
```
An invocation reads some pages, and says where the next one goes on. `refused` says why the provider wants nothing to do
with the credential, `waits` why it could not be asked now. Nothing in event or answer is secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ownkey.domain.reconciliation import Charge, ProviderKey, ReportLine
from ownkey.domain.usage import Usage
from ownkey.validation.candidate import Candidate

ACTION = "report"

Json = dict[str, Any]
Place = dict[str, Any]
"""Where a report goes on: its own business."""


@dataclass(frozen=True, slots=True)
class ReportAsk:
    """What is wanted: days, both included, and from which place on."""

    candidate: Candidate
    first: str
    last: str
    place: Place | None = None

    def to_json(self) -> Json:
        """The event for the validation function."""
        return {**self.candidate.to_json(), "action": ACTION, **self._asked()}

    def _asked(self) -> Json:
        return {"first": self.first, "last": self.last, "place": self.place}

    @staticmethod
    def from_json(event: Mapping[str, Any]) -> ReportAsk:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError: it is none.
        """
        return ReportAsk(Candidate.of_json(event["candidate"]), event["first"], event["last"], event["place"])


@dataclass(frozen=True, slots=True)
class ReportPart:
    """What was read of a report."""

    lines: tuple[ReportLine, ...] = ()
    charges: tuple[Charge, ...] = ()
    keys: tuple[ProviderKey, ...] = ()
    place: Place | None = field(default=None)
    """Where to go on. None: that was all, or it ended by a reason."""
    refused: str | None = None
    waits: str | None = None

    def to_json(self) -> Json:
        """As the validation function returns it."""
        lines = [{**asdict(line), "usage": line.usage.to_item()} for line in self.lines]
        return {
            "lines": lines,
            "charges": [asdict(charge) for charge in self.charges],
            "keys": [asdict(key) for key in self.keys],
            "place": self.place,
            "refused": self.refused,
            "waits": self.waits,
        }

    @staticmethod
    def from_json(answer: Mapping[str, Any]) -> ReportPart:
        """The inverse of `to_json`."""
        lines = tuple(ReportLine(**{**line, "usage": Usage.from_item(line["usage"])}) for line in answer["lines"])
        charges = tuple(Charge(**charge) for charge in answer["charges"])
        keys = tuple(ProviderKey(**key) for key in answer["keys"])
        return ReportPart(lines, charges, keys, answer["place"], answer["refused"], answer["waits"])
