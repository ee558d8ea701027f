"""Ownkey: a gateway to language models that holds its team's own provider keys.

Imports go downwards only (checked by import-linter):

==============================================  =======================================================================
`runtime`                                       the streaming Lambda loop, settings, logging and scrubbing
`http` `upkeep` `payments`                      the FastAPI apps (inference, management), authentication, errors;
                                                looking after stored credentials by schedule; payments that a provider
                                                tells of
`router` `validation`                           which credentials to try, in which order, and trying them; proving them
`tokens`                                        short-lived tokens that credentials without a secret are exchanged for
`vault` `ledger` `providers` `upstream`         sealing keys, moving money, wire formats, the guarded way out;
                                                mutually unaware
`registry`                                      accounts, gateway keys and credentials in DynamoDB
`store`                                         signed calls to AWS, items and their keys
`catalog` `wire`                                providers, models and prices as data; connections to AWS
`domain`                                        frozen dataclasses and pure functions, no I/O
==============================================  =======================================================================
"""
