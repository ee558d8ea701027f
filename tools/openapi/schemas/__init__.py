"""What the management API answers with, as JSON Schema (2020-12, OpenAPI 3.1). The code's side of it is `views`.

Every field is always there; one without a value is null. A test compares every answer with these, both ways.

`forms` has the words they are written in; `credentials`, `money` and `people` what there is, by room.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.openapi.schemas import credentials, money, people
from tools.openapi.schemas.forms import STRING, Schema, nullable, one_of, page, record, ref
from tools.openapi.schemas.money import STATEMENT, USAGE

COMPONENTS: Mapping[str, Schema] = {
    "Error": record(
        "What every refusal and every failure looks like.",
        {
            "error": record(
                "",
                {
                    "message": {**STRING, "description": "What happened, then what to do about it."},
                    "type": STRING,
                    "param": {**nullable(STRING), "description": "The field or parameter that is wrong."},
                    "code": {**STRING, "description": "Stable: what a program goes by."},
                    "metadata": {
                        **record("", {"source": one_of(("gateway", "provider")), "fix": STRING, "request_id": STRING}),
                        "additionalProperties": True,
                    },
                },
            )
        },
    ),
    **credentials.SCHEMAS,
    **people.SCHEMAS,
    **money.SCHEMAS,
    "OpenApi": {"type": "object", "description": "This document.", "additionalProperties": True},
}

__all__ = ["COMPONENTS", "STATEMENT", "STRING", "USAGE", "Schema", "page", "ref"]
