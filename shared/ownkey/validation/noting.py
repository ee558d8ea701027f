"""What a finding means for a credential that serves already: its health, in the item that every request reads."""

from __future__ import annotations

import logging

from ownkey.domain.health import MAX_REASON_CHARS, Fault, FaultKind
from ownkey.registry.health import HealthBook
from ownkey.validation.candidate import Candidate, Finding, Verdict

logger = logging.getLogger(__name__)
_FAULTS = {Verdict.REJECTED: FaultKind.REFUSED, Verdict.UNDECRYPTABLE: FaultKind.UNDECRYPTABLE}


async def note_finding(book: HealthBook, candidate: Candidate, finding: Finding) -> None:
    """Marks the version that was validated, or clears it; of a candidate that is not stored yet nothing is kept.

    Never fails: the finding is worth more than the note, and the next validation is another chance.
    """
    if not candidate.stored or finding.verdict is Verdict.UNREACHABLE:
        return
    binding = candidate.binding
    of = binding.account_id, binding.credential_id, binding.version
    try:
        if finding.verdict is Verdict.ACCEPTED:
            await book.accepted(*of, unreserved=finding.reason is None)
        else:
            reason = finding.reason and finding.reason[:MAX_REASON_CHARS]
            await book.found(*of, Fault(_FAULTS[finding.verdict], reason))
    except Exception:
        logger.exception("a finding could not be noted", extra={"credential_id": binding.credential_id})
