"""The management API: accounts, provider keys, gateway keys, usage. What people and the console call under /api.

================ ==============================================================================
`app`            `create_management_app`: the routes together, request ids, what stands around each request
`access`         who may do what for which account; `auditing`, the log of what they did
`answers`        JSON, pages; `etags`, changes on what was seen; `idempotency`, creations that are repeated
`bodies`         what may be sent; `views`, what is shown; `errors`, how it is refused
`credentials`    saving, rotating, changing, validating one provider key: `shaping`, the form it was given in;
                 `drafting`, what a request makes of it; `proving`, its seal and its one validation; `cards`, how it is
                 shown
`provider_keys`  the provider keys of one gateway key together (`PATCH /api/auth`)
`kms_keys` `rewrapping` `pools`  what concerns all credentials of an account, or of all
`admin_desk`     the same for admin credentials, which read a provider's reports
`confirming`     what cannot be undone, asked for twice; `key_format`, what can be said of a plain key
`csv_answers`    tables as files; `moments`, bounds of a range; `user_pool`, people in Cognito
`openapi`        the document of all of it, for programs
`byok` `export` `provider_list` `gateway_keys` `accounts` `members` `invitations` `settings` `audit_log` `usage`
`limits` `deposits` `statements` `sharing` `admin_credentials` `reconciliations`
                 the endpoints
================ ==============================================================================

Resources, fields and roles: docs/contracts/management-api.md.
"""

from ownkey.http.management.app import ManagementDeps, create_management_app

__all__ = ["ManagementDeps", "create_management_app"]
