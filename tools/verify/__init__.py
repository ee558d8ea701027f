"""Counts the books again, and puts right what may be: `python -m tools.verify --help`, docs/ledger.md.

=========== ===================================================================
`stack`     the deployment's tables and billing, reached with one's own rights
`command`   verifying, rebuilding, correcting, pricing again: account by account
=========== ===================================================================
"""
