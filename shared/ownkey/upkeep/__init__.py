"""What has to be done for stored credentials without anybody asking. It opens none: KMS and `validation` do that.

============== ==========================================================================================
`rewrapping`   brings secrets under the KMS key they should be under, one by one, from run to run
`revalidation` has credentials asked about again: those that were refused, and each one once a day
`reminders`    tells of credentials about to expire
============== ==========================================================================================
"""
