"""Every attempt recorded, priced, counted once; every cent of credits accounted for.

=============== ==========================================================================================
`pricing`       usage × price list → nano-dollars, rounded once (pure)
`records`       attempt records and deposits: written at the intent and the end, read back
`holds`         credits set aside before a platform attempt
`escrow`        an account's credits in several partitions (reading them; the writes are pure)
`reclaim`       ends the holds that dead functions left open
`rollups`       what an attempt adds to which aggregate (pure), and reading them
`booking`       under which time something counts, so that a month that is over never changes (pure)
`movements`     what postings moved in each month, by kind
`counters`      what is used and reserved of an account's limits; `alerts` tells where one reaches a threshold
`settlement`    the stream function's work: each record counted once, whatever the delivery
`stream`        a batch of the stream: which records count, which failed
`balances`      what credits there are and were, read
`statements`    balance, postings and their entries, read
`key_spending`  what one gateway key has spent, read
`activity`      single attempts, filtered, read in pages
`exports`       a month's statement; `focus`, its charges in FOCUS's columns
`upkeep`        the same for all accounts by the minute, and attempts without an end
`verify`        counts an account again and names what differs: by `recount` (what records and postings say, pure),
                `rereading` (records), `standing` (balance, holds, limits), `differences` (how two are compared)
`rebuild`       writes projections anew; `repricing` works prices out again
`reconcile`     recorded against reported (pure); `recorded`, our side of it
=============== ==========================================================================================

Who may write what is in docs/contracts/tables.md; the states in records.md and holds.md beside it.
"""
