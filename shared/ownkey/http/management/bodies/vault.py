"""Bodies of what concerns an account's credentials as a whole: pools, the KMS key, shredding."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from ownkey.http.management.bodies.common import Body

KMS_KEY_ARN = r"^arn:aws[a-z-]*:kms:[a-z0-9-]{1,32}:[0-9]{12}:key/[A-Za-z0-9-]{1,64}$"
"""A key by its ARN, never an alias: whom an alias points at changes without anybody here noticing."""

KmsKeyArn = Annotated[str, StringConstraints(pattern=KMS_KEY_ARN, max_length=200)]


class SetPool(Body):
    """`PUT /api/pools/{provider}`."""

    strategy: Literal["fallback", "round_robin", "weighted", "random"]


class SetKmsKey(Body):
    """`PUT /api/accounts/{id}/kms-key`. Null: the deployment's own."""

    kms_key_arn: KmsKeyArn | None


class Confirmation(Body):
    """What cannot be undone names what it is about once more."""

    confirm: Annotated[str, StringConstraints(min_length=1, max_length=64)]
