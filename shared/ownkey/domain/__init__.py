"""What Ownkey talks about: frozen dataclasses and pure functions, no I/O, nothing imported from above.

==================  ============================================================================
`money`             integer nano-dollars, and dollars as decimal strings on the wire
`ids`               time-ordered ids of requests, credentials, keys, entries
`times`             RFC 3339, UTC, microseconds
`secrets`           `Secret`: a string that never prints itself; masks
`scrub`             removes secrets from text: the last line of defence before a log or a response
`errors`            the error tree: status, code, whose side, the fix
`accounts`          account head, members, roles; `invitations`, who is asked to become a member
`audit`             an entry of the audit log: who did what, to what, from where
`gateway_keys`      the key an app presents: format, checksum, digest, the stored key
`scopes`            what a gateway key may be used for, and from where
`credentials`       a provider key in the vault: what is shown, what is sealed, what it is bound to
`rewraps`           jobs that bring stored secrets under another KMS key
`faults`            what a failure says of a credential or a provider; `health`, the marks that follow; `cards`, how
                    they are shown
`surfaces`          the endpoints that clients call, the dialects that providers speak
`limits`            budgets and rate limits
`sharing`           credentials that serve others, and on which terms
`usage`             one vector of disjoint token buckets
`pricing`           a credential's own price list
`savings`           what an attempt cost less than on the stated baseline
`attempts`          one use of one credential: intent, end, outcome
`ledger`            holds, entries, balance
`reconciliation`    what was recorded against what a provider reports
`sampling`          what a process does now and then only
==================  ============================================================================
"""
