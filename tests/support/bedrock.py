"""Bedrock's wire as botocore knows it, and the binary streams of the fixtures.

`python -m tests.support.bedrock` writes each `stream*.bin` anew from its `events*.json`: of Converse
`[[event type, values], …]`, of Anthropic's dialect the events themselves, each in a `chunk`.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import botocore
from botocore.eventstream import EventStreamBuffer
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import EventStreamJSONParser, create_parser
from botocore.validate import ParamValidator

from local.simulator.eventstream import event
from tests.support.providers import FIXTURES

CONVERSE, INVOKED = FIXTURES / "bedrock", FIXTURES / "bedrock-anthropic"


@cache
def service() -> ServiceModel:
    """The service model of the runtime."""
    (path,) = Path(botocore.__file__).parent.glob("data/bedrock-runtime/*/service-2.json.gz")
    return ServiceModel(json.loads(gzip.decompress(path.read_bytes())))


def operation(name: str) -> OperationModel:
    """`Converse`, `ConverseStream`, …"""
    return service().operation_model(name)


def problems(name: str, body: dict[str, Any]) -> str:
    """What botocore would have against such a request; empty: nothing. Blobs are Base64, as JSON has them."""
    shape = operation(name).input_shape
    assert shape is not None
    report: str = ParamValidator().validate({"modelId": "a-model", **body}, shape).generate_report()
    return report


def parsed(name: str, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """What botocore reads of an answer."""
    answer = {"status_code": status, "headers": headers or {}, "body": body}
    found: dict[str, Any] = create_parser("rest-json").parse(answer, operation(name).output_shape)
    return found


def frames(data: bytes, shape: str) -> list[dict[str, Any]]:
    """What botocore reads of a stream of this shape: `ConverseStreamOutput`, `ResponseStream`."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    parser = EventStreamJSONParser()
    return [parser.parse(each.to_response_dict(), service().shape_for(shape)) for each in buffer]


def converse_stream(events: list[tuple[str, dict[str, Any]]]) -> bytes:
    """A stream of Converse."""
    return b"".join(event(kind, values) for kind, values in events)


def invoked_stream(events: list[dict[str, Any]]) -> bytes:
    """A stream of Anthropic's dialect."""
    return b"".join(event("chunk", {"bytes": encoded(each), "p": "abcdefghijklm"}) for each in events)


def encoded(values: Any) -> str:
    """JSON as Base64."""
    return base64.b64encode(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()).decode()


def streams() -> dict[Path, bytes]:
    """Each binary fixture as its events make it."""
    made = {}
    for folder, stream in ((CONVERSE, converse_stream), (INVOKED, invoked_stream)):
        for path in sorted(folder.glob("events*.json")):
            name = path.stem.replace("events", "stream") + ".bin"
            made[folder / name] = stream(json.loads(path.read_bytes()))
    return made


if __name__ == "__main__":
    for path, stream in streams().items():
        path.write_bytes(stream)
