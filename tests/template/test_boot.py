"""The built artefact starts under AWS's Runtime Interface Emulator, by its own wrapper, and answers.

The emulator buffers streamed responses, so this shows that the artefact boots and what it says; that it streams is
shown against a Runtime API of our own (tests/unit and tests/e2e).
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.template.artefacts import ENVIRONMENT, Artefacts, emulator
from tests.template.translation import ROOT
from tools.packaging import python313

pytestmark = pytest.mark.timeout(240)

NOWHERE = "http://127.0.0.1:9"
END_OF_PRELUDE = b"\0" * 8
BOOT_LIMIT_S = 30


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def function_url(twin: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """InferenceFunction under the emulator, as the managed runtime would start it: wrapper first, interpreter next."""
    interpreter = python313.find()
    if not interpreter:
        pytest.skip("no Python 3.13 on this machine to run Lambda's artefact: install one, or set OWNKEY_PYTHON313")
    (opt,), task = twin.layers, twin.functions["inference"]
    address, runtime_api = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [emulator(), "--runtime-interface-emulator-address", address, "--runtime-api-address", runtime_api]
    command += [opt / "ownkey-bootstrap", interpreter, "handler.app"]
    environment = ENVIRONMENT | {
        "LAMBDA_TASK_ROOT": str(task),
        "AWS_ENDPOINT_URL": NOWHERE,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
    }
    log = tmp_path_factory.mktemp("emulator") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=task, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(address, process, log)
        yield f"http://{address}/2015-03-31/functions/function/invocations"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.partition(":")
    deadline_s = time.monotonic() + BOOT_LIMIT_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"the emulator did not listen within {BOOT_LIMIT_S} s:\n{log.read_text()}")


def invoke(url: str, event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The response's prelude and its JSON body."""
    answer = httpx.post(url, json=event, timeout=60, trust_env=False).content
    prelude, separator, body = answer.partition(END_OF_PRELUDE)
    assert separator, f"not a streamed response: {answer[:500]!r}"
    return json.loads(prelude), json.loads(body)


def example(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "events" / "inference" / f"{name}.json").read_text())


def test_a_request_without_a_gateway_key_is_told_so(function_url: str) -> None:
    prelude, body = invoke(function_url, example("no-gateway-key"))
    assert prelude["statusCode"] == 401
    assert prelude["headers"]["content-type"] == "application/json"
    assert body["error"]["code"] == "missing_gateway_key"
    assert body["error"]["metadata"]["source"] == "gateway"


def test_a_key_that_is_no_gateway_key_is_refused_before_any_call_to_aws(function_url: str) -> None:
    """AWS is out of reach here: had it been asked, the answer would be a 503."""
    event = example("message")
    event["headers"]["x-api-key"] = event["multiValueHeaders"]["x-api-key"][0] = "not-a-gateway-key"
    prelude, body = invoke(function_url, event)
    assert prelude["statusCode"] == 401
    assert body["type"] == "error"
    assert body["error"]["type"] == "authentication_error"
    assert "gateway key" in body["error"]["message"]


def test_aws_out_of_reach_is_an_answer_too(function_url: str) -> None:
    prelude, body = invoke(function_url, example("chat-completion"))
    assert prelude["statusCode"] == 503
    assert body["error"]["code"] == "store_unavailable"
