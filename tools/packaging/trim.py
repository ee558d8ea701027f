"""What does not ship, and what must not."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.packaging import elf
from tools.packaging.errors import BuildError

_UNUSED_PATHS = (
    "bin",
    # cryptography needs cffi's native module only; the rest compiles C declarations.
    "cffi",
    "pycparser",
    # Of Powertools we use the Logger.
    "aws_lambda_powertools/event_handler",
    # For clients of botocore, which we make none of: ours trust the system's authorities.
    "botocore/cacert.pem",
    # Of Stripe's library we use the check of signatures; of the rest these are the most.
    "stripe/data",
    "stripe/events",
    "stripe/params",
    # FastAPI asks for it at every response where it is there, and imports it to ask.
    "pydantic/v1",
    "pydantic/mypy.py",
    "anyio/_backends/_trio.py",
    "anyio/pytest_plugin.py",
    # Time zones by name, and recurring dates; botocore reads times that say their offset.
    "dateutil/zoneinfo",
    "dateutil/rrule.py",
    "dateutil/easter.py",
    "dateutil/utils.py",
    "dateutil/tz/win.py",
    # Other transports and runtimes than ours.
    "urllib3/contrib/emscripten",
    "urllib3/contrib/pyopenssl.py",
    "urllib3/contrib/socks.py",
    "urllib3/http2/connection.py",
    "botocore/crt/auth.py",
    "botocore/stub.py",
    "anyio/itertools.py",
    "anyio/functools.py",
    "anyio/to_process.py",
    "anyio/to_interpreter.py",
    # Formats and protocols that nothing here reads.
    "cryptography/fernet.py",
    "cryptography/hazmat/asn1",
    "cryptography/hazmat/primitives/serialization/pkcs7.py",
    "cryptography/hazmat/primitives/twofactor",
    "cryptography/x509/ocsp.py",
    "idna/cli.py",
    "idna/codec.py",
    "jwt/help.py",
    # Parts of the frameworks for pages, sessions and tests.
    "starlette/config.py",
    "starlette/middleware/gzip.py",
    "starlette/middleware/opentelemetry.py",
    "starlette/middleware/sessions.py",
    "starlette/middleware/wsgi.py",
    "starlette/schemas.py",
    "starlette/templating.py",
    "starlette/testclient.py",
    "annotated_types/test_cases.py",
    "aws_lambda_powertools/metrics/provider/datadog",
)
"""No import of ours reaches these; tests/template proves it by importing every handler from the built artefact."""
_POWERTOOLS_UTILITIES_KEPT = frozenset({"__init__.py", "jmespath_utils"})
_BOTOCORE_DATA_KEPT = frozenset({"_retry.json", "partitions.json", "sdk-default-configuration.json"})
"""Our code signs its own requests and makes no botocore client, so no service's model is used."""

_UNUSED_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".cpp", ".hpp", ".typed"})
_UNUSED_METADATA = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL", "sboms"})
"""Of a dist-info. `METADATA`, without its readme, and `entry_points.txt` stay for importlib.metadata; licences stay."""
_UNUSED_FOLDERS = frozenset({"tests", "test", "__pycache__"})


def refuse_what_runs_by_itself(packages: Path) -> None:
    """Python runs `.pth` lines and customize modules at start, imported or not: no wheel of ours needs one.

    LiteLLM 1.82.7 and 1.82.8 carried a thief of credentials in such a file.
    """
    found = [*packages.rglob("*.pth"), *packages.glob("sitecustomize*"), *packages.glob("usercustomize*")]
    if found:
        names = ", ".join(str(path.relative_to(packages)) for path in found)
        raise BuildError(f"a package brings files that Python runs by itself: {names}. Find out why before shipping.")


def refuse_wrong_machine(packages: Path, arch: str) -> None:
    """Every native module is an ELF file of the target machine."""
    for path in elf.native_modules(packages):
        if elf.machine(path) != elf.MACHINES[arch]:
            raise BuildError(f"{path.relative_to(packages)} is not built for {arch}.")


def trim(packages: Path) -> None:
    """Removes what no import reads, and what only a debugger reads."""
    for pattern in _UNUSED_PATHS:
        _remove(packages.glob(pattern))
    _remove(_all_but(packages / "aws_lambda_powertools" / "utilities", _POWERTOOLS_UTILITIES_KEPT))
    _remove(_all_but(packages / "botocore" / "data", _BOTOCORE_DATA_KEPT))
    _remove(path for path in packages.rglob("*") if path.is_dir() and path.name in _UNUSED_FOLDERS)
    _remove(path for path in packages.glob("*.dist-info/*") if path.name in _UNUSED_METADATA)
    _remove(path for path in packages.rglob("*") if path.suffix in _UNUSED_SUFFIXES)
    for path in packages.glob("*.dist-info/METADATA"):
        path.write_text(path.read_text(encoding="utf-8").partition("\n\n")[0] + "\n", encoding="utf-8")
    for path in elf.native_modules(packages):
        path.write_bytes(elf.stripped(path.read_bytes()))


def _all_but(folder: Path, kept: frozenset[str]) -> Iterator[Path]:
    """Nothing where a layer has no such folder."""
    return (path for path in folder.glob("*") if path.name not in kept)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
