"""Jobs that bring stored secrets under another KMS key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_FAILURES_NAMED = 20


class JobState(StrEnum):
    """How far a job is."""

    RUNNING = "running"
    DONE = "done"
    """Every secret is under the KMS key that it should be under."""
    FAILED = "failed"
    """Every secret was looked at; some could not be moved. They are as they were."""


@dataclass(frozen=True, slots=True)
class RewrapFailure:
    """A secret that could not be moved, and why. The reason is KMS's code in a sentence of ours."""

    account_id: str
    credential_id: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class RewrapJob:
    """One pass over the secrets of an account, or of all."""

    id: str
    account_id: str | None
    """None: all accounts."""
    started_by: str
    started_at: str
    updated_at: str
    state: JobState = JobState.RUNNING
    cursor: str = ""
    """Up to which secret the pass has come: `<account>#<the secret's sort key>`. Sorts as the pass goes."""
    total: int | None = None
    """How many secrets there were when the pass began; None: not counted yet."""
    done: int = 0
    """Moved to the other KMS key."""
    skipped: int = 0
    """There already, or shredded, rotated or removed before their turn."""
    failed: int = 0
    revision: int = 0
    """One higher with each note of progress: whoever saw another one is not the only one at work."""
    failures: tuple[RewrapFailure, ...] = ()
    """The first `MAX_FAILURES_NAMED` of those that failed."""
