"""Every attempt recorded, priced, counted once; every cent of credits accounted for.

=============== ==========================================================================================
`pricing`       usage × price list → nano-dollars, rounded once (pure)
`records`       attempt records and deposits: written at the intent and the end, read back
`holds`         credits set aside before a platform attempt
`escrow`        an account's credits in several partitions (reading them; the writes are pure)
`reclaim`       ends the holds that dead functions left open
`rollups`       what an attempt adds to which aggregate (pure), and reading them
`settlement`    the stream function's work: each record counted once, whatever the delivery
`stream`        a batch of the stream: which records count, which failed
`statements`    balance, postings and their entries, read
`upkeep`        the same for all accounts by the minute, and attempts without an end
=============== ==========================================================================================

Who may write what is in docs/contracts/tables.md; the states in records.md and holds.md beside it.
"""
