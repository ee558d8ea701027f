"""Asking a provider whether a key is good: one call, for a candidate that travels as ciphertext.

=========== =============================================================================================
`candidate` what `keys` hands to `validation`, and what comes back: JSON in, JSON out, no secret in either
`validator` `Validator`: opens the candidate, sends the provider's probe once, reads the verdict
`noting`    what it means for the health of a credential that serves already
`reports`   reads providers' own reports of usage with admin credentials; `report_parts`, the hand-over
`opening`   whether a KMS key opens what it sealed
`function`  the function that does both, as management and upkeep invoke it
=========== =============================================================================================
"""

from ownkey.validation.candidate import Candidate, Finding, Kept, Verdict

__all__ = ["Candidate", "Finding", "Kept", "Verdict"]
