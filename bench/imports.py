"""What packages cost before they do anything: `python -m bench.imports` prints a table of times and sizes.

Times are of fresh processes with compiled bytecode, one package alone and then the function's set together; sizes are
of a package and of all that it needs. What is not installed is left out: to see a candidate that Ownkey does not use,
install it beside the others in an environment of its own and run this with its Python.
docs/decisions/0003-dependencies.md rests on it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.spread import Spread

_TIMED = "import time; begun = time.perf_counter(); {}; print((time.perf_counter() - begun) * 1000)"
_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package as it would be used. `statement` is its import, `distribution` what would be installed."""

    distribution: str
    statement: str


_USED = (
    Candidate("fastapi", "import fastapi"),
    Candidate("pydantic", "import pydantic; type('M', (pydantic.BaseModel,), {})"),
    Candidate("mangum", "from mangum import Mangum; from mangum.handlers import APIGateway"),
    Candidate("botocore", "import botocore.auth, botocore.awsrequest, botocore.session"),
    Candidate("cryptography", "from cryptography.hazmat.primitives.ciphers.aead import AESGCM"),
    Candidate("aws-lambda-powertools", "from aws_lambda_powertools import Logger"),
    Candidate("pyjwt", "import jwt"),
)
_APART = (Candidate("stripe", "from stripe import SignatureVerificationError, WebhookSignature"),)
"""In one function alone."""
_NOT_USED = (
    Candidate("aiohttp", "import aiohttp"),
    Candidate("httpx", "import httpx; httpx.AsyncClient()"),
    Candidate("httpx2", "import httpx2; httpx2.AsyncClient()"),
    Candidate("boto3", "import boto3; boto3.client('dynamodb', region_name='us-east-1')"),
    Candidate("aiobotocore", "import aiobotocore.session"),
    Candidate("aws-encryption-sdk", "import aws_encryption_sdk"),
    Candidate("aws-xray-sdk", "from aws_lambda_powertools import Tracer; Tracer(service='x')"),
    Candidate("python-jose", "from jose import jwt"),
    Candidate("joserfc", "from joserfc import jwt"),
    Candidate("starlette", "import starlette.applications, starlette.routing, starlette.responses"),
    Candidate("orjson", "import orjson"),
    Candidate("msgspec", "import msgspec"),
    Candidate("uvloop", "import uvloop"),
)
_TOGETHER = "; ".join(candidate.statement for candidate in _USED)


def import_time_ms(statement: str, rounds: int) -> Spread | None:
    """The times of fresh processes; None where the import fails."""
    times_ms = []
    for _ in range(rounds + 1):  # the first compiles what is not compiled yet, and does not count
        command = [sys.executable, "-c", _TIMED.format(statement)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        times_ms.append(float(done.stdout))
    return Spread.of(times_ms[1:])


def needs(distribution: str) -> frozenset[str]:
    """The installed distributions that one needs, itself included; those of extras and other platforms are not."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        name = _canonical(waiting.pop())
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [match[0] for each in requirements if "extra ==" not in each and (match := _NAME.match(each))]
    return frozenset(found)


def size_mib(distributions: Iterable[str]) -> float:
    """MiB of the files that distributions installed, compiled bytecode not counted."""
    return sum(_size(name) for name in distributions) / _MIB


def _size(distribution: str) -> int:
    files = importlib.metadata.files(distribution) or []
    return sum(file.size or 0 for file in files if file.suffix != ".pyc")


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def table(candidates: Sequence[Candidate], rounds: int) -> Iterable[str]:
    """Lines of Markdown, one for each candidate that is installed here."""
    for candidate in candidates:
        spread = import_time_ms(candidate.statement, rounds)
        if spread is None:
            continue
        all_of_it = needs(candidate.distribution)
        own = size_mib([_canonical(candidate.distribution)])
        version = importlib.metadata.version(candidate.distribution)
        yield (
            f"| {candidate.distribution} {version} | {spread.median:.0f} | {own:.1f} | {size_mib(all_of_it):.1f} "
            f"| {len(all_of_it)} |"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description="Import times and sizes.")
    parser.add_argument("--rounds", type=int, default=7, help="fresh processes for each package")
    rounds = parser.parse_args().rounds
    head = ("| package | import, ms | own size, MiB | with what it needs, MiB | packages |", "|---|---|---|---|---|")
    print(*head, sep="\n")
    print(*table(_USED, rounds), sep="\n", flush=True)
    print(*table(_APART, rounds), sep="\n", flush=True)
    print(*table(_NOT_USED, rounds), sep="\n", flush=True)
    if together := import_time_ms(_TOGETHER, rounds):
        print(f"| all of the first {len(_USED)} together | {together.median:.0f} | | | |")


if __name__ == "__main__":
    main()
