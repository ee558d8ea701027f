"""`/api/openapi.json`: this API, for programs. The one resource that needs no session: it says nothing of anybody."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

PATH = "/api/openapi.json"


def routes() -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.get(PATH)
    async def read_openapi() -> Response:
        return Response(_document(), media_type="application/json")

    return router


@cache
def _document() -> bytes:
    """Built by `python -m tools.openapi`; read when first asked for."""
    return Path(__file__).with_name("openapi.json").read_bytes()
