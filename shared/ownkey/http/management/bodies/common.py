"""What fields of several bodies have in common: their types, and the strictness of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from ownkey.domain.times import parse_rfc3339, rfc3339

MAX_KEY_CHARS = 8_192


def printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without space around it")
    return text


def ascii_text(text: str) -> str:
    """Stands in HTTP headers."""
    if not text.isascii():
        raise ValueError("must be plain ASCII: it stands in HTTP headers")
    return printable(text)


def scope(what: str) -> Callable[[list[str]], list[str]]:
    def check(values: list[str]) -> list[str]:
        if not values:
            raise ValueError(f"is empty, which would allow none: leave it out, or give null, for all {what}")
        return list(dict.fromkeys(values))

    return check


def _time(text: str) -> str:
    try:
        return rfc3339(parse_rfc3339(text))
    except ValueError:
        raise ValueError("must be a time with its offset, such as 2027-01-31T12:00:00Z") from None


Key = Annotated[SecretStr, Field(max_length=MAX_KEY_CHARS)]
Alias = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(ascii_text)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(printable)]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(ascii_text)]
Priority = Annotated[int, Field(ge=0, le=1_000)]
Weight = Annotated[int, Field(ge=1, le=1_000)]
BaseUrl = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Ids = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(ascii_text)]
Models = Annotated[list[Ids], Field(max_length=200), AfterValidator(scope("models"))]
GatewayKeyIds = Annotated[list[Ids], Field(max_length=100), AfterValidator(scope("gateway keys"))]
Expiry = Annotated[str, StringConstraints(max_length=40), AfterValidator(_time)]


ABSENT: Any = None
"""Default of fields whose type does not admit None: leaving them out is allowed, an explicit null is not."""


class Body(BaseModel):
    """Strict JSON: no unknown fields, no number for a string, no input in an error's text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
