"""What has to be done without anybody asking, beside what `ledger.upkeep` ends. It opens no credential: KMS and
`validation` do that.

============== ==========================================================================================
`rewrapping`   brings secrets under the KMS key they should be under, one by one, from run to run
`revalidation` has credentials asked about again: those that were refused, and each one once a day
`reminders`    tells of credentials about to expire
`verification` has the books counted again, and tells of differences
`reconciling`  compares what was recorded with what providers report; `leaks` raises the alarm
============== ==========================================================================================
"""
