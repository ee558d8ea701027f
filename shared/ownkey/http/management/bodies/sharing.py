"""Bodies of `/api/sharing`."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from ownkey.http.management.bodies.common import Body

ConsentVersion = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class GiveConsent(Body):
    """`PUT /api/sharing/consent`: to which text, as `GET /api/sharing` has it."""

    version: ConsentVersion
    digest: Digest


class SetSharing(Body):
    """`PUT /api/byok/{id}/sharing`."""

    shared: bool
