"""Every attempt recorded, priced, counted once; every cent of credits accounted for.

=============== ==========================================================================================
`pricing`       usage × price list → nano-dollars, rounded once (pure)
`records`       attempt records and deposits: written at the intent and the end, read back
`holds`         credits set aside before a platform attempt
`rollups`       what an attempt adds to which aggregate (pure), and reading them
`settlement`    the stream function's work: each record counted once, whatever the delivery
`stream`        a batch of the stream: which records count, which failed
`statements`    balance and entries, read
`upkeep`        ends what dead functions left: abandoned attempts, holds without a record
=============== ==========================================================================================

Who may write what is in docs/contracts/tables.md; the states in records.md and holds.md beside it.
"""
