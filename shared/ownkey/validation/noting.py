"""What a finding means for a credential that serves already: its health, in the item that every request reads."""

from __future__ import annotations

import logging

from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.faults import MAX_REASON_CHARS, Fault, FaultKind
from ownkey.registry.health import HealthBook
from ownkey.store.aws import AwsError
from ownkey.validation.candidate import Candidate, Finding, Kept, Verdict

logger = logging.getLogger(__name__)
_FAULTS = {Verdict.REJECTED: FaultKind.REFUSED, Verdict.UNDECRYPTABLE: FaultKind.UNDECRYPTABLE}


async def note_finding(book: HealthBook, candidate: Candidate, finding: Finding) -> None:
    """Marks the version that was validated, or clears it, as far as the candidate says that it may be kept.

    A table that does not answer fails nothing: the finding is worth more than the note, and the next validation is
    another chance.
    """
    accepted = finding.verdict is Verdict.ACCEPTED
    keeps = candidate.kept is Kept.FINDING or (candidate.kept is Kept.ACCEPTANCE and accepted)
    if not keeps or finding.verdict is Verdict.UNREACHABLE:
        return
    binding = candidate.binding
    of = binding.account_id, binding.credential_id, binding.version
    try:
        if accepted:
            await book.accepted(*of, unreserved=finding.reason is None)
        else:
            reason = finding.reason and finding.reason[:MAX_REASON_CHARS]
            await book.found(*of, Fault(_FAULTS[finding.verdict], reason))
    except (StoreUnavailable, AwsError):
        logger.exception("a finding could not be noted", extra={"credential_id": binding.credential_id})
