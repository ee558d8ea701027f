"""Hands failed batches to billing again: `python -m tools.replay --help`, docs/ledger.md.

=========== ===================================================================
`batches`   what Lambda wrote into the bucket, read
`replay`    batch by batch through billing, and what became of each
=========== ===================================================================
"""
