"""What is deployed, built for real: by `sam build` for Lambda, and by the same makefiles for this machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.template.translation import FUNCTIONS, ROOT, logical_id

SAM = ROOT / ".venv-sam" / "bin" / "sam"
RIE = "lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
"""AWS's Runtime Interface Emulator, inside the SAM CLI's wheel."""
BUILD_LIMIT_S = 90
HERE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"

ENVIRONMENT = {
    f"{name}_TABLE": name
    for name in ("REGISTRY", "RECORDS", "CREDITS", "LEDGER", "ROLLUPS", "HEALTH", "AUDIT", "COUNTERS", "ANSWERS")
} | {
    "AWS_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "ownkey",
    "VAULT_KEY_ID": "arn:aws:kms:us-east-1:123456789012:key/none",
    "VALIDATION_FUNCTION": "validation",
    "USER_POOL_ID": "pool",
    "USER_POOL_CLIENT_ID": "client",
    "SESSION_ISSUER": "https://issuer.invalid",
    "JWKS_URL": "https://issuer.invalid/jwks.json",
    "STRIPE_WEBHOOK_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:none",
}
"""Every variable that a function reads, with values that lead nowhere."""


@dataclass(frozen=True)
class Artefacts:
    """Folders as they come to stand on Lambda: the layers under `/opt`, a function under `/var/task`."""

    layers: tuple[Path, ...]
    functions: dict[str, Path]
    payments_layer: Path
    """Of the payments function alone, beside the others; of the twin with them."""

    def layers_of(self, function: str) -> tuple[Path, ...]:
        return (*self.layers, self.payments_layer) if function == "payments" else self.layers

    def shipped_with(self, function: str) -> list[Path]:
        """Every file that one function is deployed with."""
        return [path for folder in (*self.layers_of(function), self.functions[function]) for path in files(folder)]


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def require_sam() -> Path:
    """The SAM CLI: a test that needs it fails without it, since a skipped check looks like a passed one."""
    if not SAM.exists():
        pytest.fail("the SAM CLI is not installed: run `make setup`")
    return SAM


def emulator() -> Path:
    """The emulator for this machine."""
    require_sam()
    (found,) = (ROOT / ".venv-sam").glob(RIE.format(machine=HERE))
    return found


def sam_build(folder: Path) -> Artefacts:
    """`sam build` from the project's root, as its reader would run it."""
    run([str(require_sam()), "build", "--build-dir", str(folder)], limit_s=BUILD_LIMIT_S)
    layers = tuple(folder / name for name in ("DependenciesLayer", "SharedLayer"))
    functions = {name: folder / logical_id(name) for name in FUNCTIONS}
    return Artefacts(layers, functions, folder / "PaymentsLayer")


def build_for_this_machine(folder: Path) -> Artefacts:
    """The twin: Lambda's arm64 artefact does not run here, the same makefiles' artefact for this machine does."""
    opt, payments_layer = folder / "opt", folder / "opt-of-payments"
    make("layers/dependencies", "DependenciesLayer", opt)
    make("shared", "SharedLayer", opt)
    # As on Lambda, where all layers of a function are unpacked into one folder.
    shutil.copytree(opt, payments_layer)
    make("layers/payments", "PaymentsLayer", payments_layer)
    functions = {name: folder / name for name in FUNCTIONS}
    for name, out in functions.items():
        make(f"functions/{name}", logical_id(name), out)
    return Artefacts((opt,), functions, payments_layer)


def make(source: str, target: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    variables = [f"ARTIFACTS_DIR={out}", f"OWNKEY_ARCH={HERE}"]
    run(["make", "--makefile", f"{source}/Makefile", f"build-{target}", *variables], limit_s=BUILD_LIMIT_S)


def run(command: list[str], *, limit_s: float) -> None:
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
    )
    assert done.returncode == 0, f"{shutil.which(command[0])}:\n{done.stdout}\n{done.stderr}"
