"""AWS on a laptop: one address that answers DynamoDB, KMS, Cognito, S3, SQS, EventBridge and what else moto has.

moto alone is no oracle for a ledger (docs/decisions/0002-moto-shim.md): it loses concurrent writes, decrypts with
disabled keys, ignores client tokens. So whatever touches an item or key material is answered here, moto answers the
rest, and everything goes through one gate.

=============== =========================================================================
`server`        `start_aws()` for tests, HTTP
`controls`      a client of the controls under `/_ownkey/`: counts, faults, policies, the TTL sweep
`gate`          a call's way: counted, authorized, struck by a fault, answered
`call`          who calls what; answers and errors on the wire
`dynamodb`      items, expressions, transactions, streams
`kms`           sealing and key states
`sts`           identity tokens that verify, roles that ask whom they trust
`moto_app`      moto, for everything else
`policies`      IAM's evaluation of identity policies; `permissions`, what each call needs
`faults`        faults for tests; `calls`, counts of calls
=============== =========================================================================

`python -m local.aws --port 4566` runs it as a process of its own.
"""

from local.aws.controls import Controls
from local.aws.server import AwsServer, start_aws

__all__ = ["AwsServer", "Controls", "start_aws"]
