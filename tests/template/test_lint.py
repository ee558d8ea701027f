"""What AWS's own linters say. Neither needs an account or the network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.template.translation import ROOT, TEMPLATE

SAM = ROOT / ".venv-sam" / "bin" / "sam"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_cfn_lint_finds_nothing() -> None:
    done = run(ROOT / ".venv" / "bin" / "cfn-lint", "--non-zero-exit-code", "informational", TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sam_validate_finds_nothing() -> None:
    if not SAM.exists():
        pytest.fail("the SAM CLI is not installed: run `make setup`")
    done = run(SAM, "validate", "--lint", "--template", TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout
