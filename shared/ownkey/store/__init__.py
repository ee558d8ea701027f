"""AWS as Ownkey uses it: signed asyncio calls, DynamoDB items, the tables' keys.

botocore's clients cost about 3 ms of CPU a call and block; here botocore finds credentials, and what signs and carries
is made for these calls alone (docs/decisions/0011-hot-path.md).

========== =====================================================
`aws`      `AwsClient`: one signed call, retries, errors
`dynamodb` items in and out, reads, conditional writes, transactions
`sigv4`    signatures
`kms`      data keys: make, open
`secrets`  one secret's text, of the operator's
`sts`      the function's own identity as a token; another role's temporary keys
`functions`  invoking another function
`events`   telling others, on the account's bus
`keys`     partition and sort keys of every item
========== =====================================================
"""
