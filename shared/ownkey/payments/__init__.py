"""Payments that a payment provider tells of: checked, and written down as deposits, each once.

============ ==============================================================================
`notices`    what a provider may tell, and what a provider is here
`stripe`     Stripe: its signature, and its events read as notices
`desk`       what becomes of a notice
`signing`    the secrets that a provider signs with, read once, and anew where one is rotated
`webhook`    the HTTP door, without a framework
============ ==============================================================================

Only the function `payments` has it. It may put deposits, look an account up, and write the audit log: nothing else.
"""
