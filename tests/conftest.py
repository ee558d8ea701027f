"""Fixtures for all tests: AWS on loopback once for each run, tables fresh for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ownkey.store.aws import AwsClient
from tests.support.aws import Tables, empty_tables, environ
from tests.support.proof import Promises, ProofReport

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
"""How long an example takes says how busy the machine is. Loaded before the tests, whose own settings extend it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--proof-report FILE`: what `make proof` keeps. `--write-matrix`: what `make matrix` does."""
    parser.addoption("--proof-report", type=Path, default=None)
    parser.addoption("--write-matrix", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    """Turns the report on where it is asked for."""
    if path := config.getoption("--proof-report"):
        config.pluginmanager.register(Promises())
        if not hasattr(config, "workerinput"):  # of several processes, the one that hears of all outcomes
            config.pluginmanager.register(ProofReport(path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The gaps of AWS on loopback come first: without the shim no other result means anything."""
    items.sort(key=lambda item: "test_aws_gaps" not in item.nodeid)


@pytest.fixture(autouse=True)
def no_credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests never find, and never need, real accounts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """AWS on loopback (moto behind the shim), shared by the run."""
    from local.aws import start_aws

    server = start_aws(port=0)
    yield server.endpoint_url
    server.stop()


@pytest.fixture
async def tables(aws_endpoint: str) -> AsyncIterator[Tables]:
    """The product's tables, empty."""
    aws = AwsClient(environ=environ(aws_endpoint))
    yield empty_tables(aws_endpoint, aws)
    await aws.close()
