"""The management API: accounts, provider keys, gateway keys, usage. What people and the console call under /api.

================ ==============================================================================
`app`            `create_management_app`: the routes together, request ids, audit lines
`access`         who may do what for which account
`bodies`         what may be sent; `views`, what is shown; `errors`, how it is refused
`credentials`    saving, rotating, changing, validating one provider key; `proving`, its seal and its one validation
`provider_keys`  the provider keys of one gateway key together (`PATCH /api/auth`)
`byok` `gateway_keys` `accounts` `usage`  the endpoints
================ ==============================================================================

Resources, fields and roles: docs/contracts/management-api.md.
"""

from ownkey.http.management.app import ManagementDeps, create_management_app

__all__ = ["ManagementDeps", "create_management_app"]
