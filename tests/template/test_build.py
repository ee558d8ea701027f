"""What `sam build` makes: complete, compiled, for the right machine, small, and nothing that runs by itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.template.artefacts import ENVIRONMENT, Artefacts, files
from tests.template.translation import FUNCTIONS
from tools.packaging import code, elf, python313
from tools.packaging.errors import BuildError
from tools.packaging.trim import refuse_what_runs_by_itself, refuse_wrong_machine

pytestmark = pytest.mark.timeout(240)

MAX_BYTES = 36 * 1024 * 1024
MAX_BYTES_OF_PAYMENTS = 16 * 1024 * 1024
"""Of its own layer: Stripe's library is some 1,600 modules, of which 25 are loaded."""
UNCHECKED_HASH = (1).to_bytes(4, "little")
"""The flags of a `.pyc` whose source is never looked at (PEP 552)."""


NOBODY_ANSWERS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "test",
}


# ---------------------------------------------------------------- the real build


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_ships_with_is_small(deployed: Artefacts, function: str) -> None:
    own = MAX_BYTES_OF_PAYMENTS if function == "payments" else 0
    assert sum(path.stat().st_size for path in deployed.shipped_with(function)) <= MAX_BYTES + own


def test_the_payment_providers_library_ships_with_payments_alone_and_brings_no_client(deployed: Artefacts) -> None:
    names = {path.name for path in (deployed.payments_layer / "python").iterdir() if "dist-info" not in path.name}
    assert names == {"stripe", "ownkey"}
    assert [path.name for path in (deployed.payments_layer / "python" / "ownkey").iterdir()] == ["payments"]
    for layer in deployed.layers:
        assert not (layer / "python" / "ownkey" / "payments").exists()
        assert not (layer / "python" / "stripe").exists()
        assert not (layer / "python" / "requests").exists()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_module_ships_compiled_and_is_not_checked_again(deployed: Artefacts, function: str) -> None:
    modules = [path for path in deployed.shipped_with(function) if path.suffix == ".py"]
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        assert compiled.read_bytes()[4:8] == UNCHECKED_HASH, compiled


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_its_handler_and_no_build_file(deployed: Artefacts, function: str) -> None:
    names = {path.name for path in files(deployed.functions[function])}
    assert "handler.py" in names
    assert "Makefile" not in names


def test_native_modules_are_for_arm64(deployed: Artefacts) -> None:
    native = [path for layer in deployed.layers for path in elf.native_modules(layer)]
    assert {path.name.partition(".")[0] for path in native} >= {"_cffi_backend", "_pydantic_core", "_rust"}
    assert {elf.machine(path) for path in native} == {elf.MACHINES["arm64"]}


def test_nothing_in_the_layers_runs_by_itself(deployed: Artefacts) -> None:
    for layer in (*deployed.layers, deployed.payments_layer):
        refuse_what_runs_by_itself(layer / "python")


def test_the_wrapper_stands_where_lambda_looks_and_may_run(deployed: Artefacts) -> None:
    wrapper = deployed.layers[1] / "ownkey-bootstrap"
    assert os.access(wrapper, os.X_OK)


def test_our_code_ships_with_its_data(deployed: Artefacts) -> None:
    shipped = {path.name for path in files(deployed.layers[1] / "python" / "ownkey" / "catalog")}
    assert {"providers.json", "models.json"} <= shipped


def test_the_built_template_needs_no_yaml_that_cloudformation_lacks(deployed: Artefacts) -> None:
    """The template uses anchors, which CloudFormation does not know; SAM writes them out."""
    built = (deployed.layers[0].parent / "template.yaml").read_text()
    assert not [line for line in built.splitlines() if line.rstrip().endswith(tuple("0123456789")) and " &id" in line]
    assert ": *" not in built


# ---------------------------------------------------------------- the twin


IMPORT_HANDLER = """
import sys
sys.path[:0] = sys.argv[1:]
try:
    import handler
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(twin: Artefacts, function: str) -> set[str]:
    """Top-level modules in memory once the handler is imported, with nothing but the artefact on the path."""
    interpreter = python313.find()
    if not interpreter:
        pytest.skip("no Python 3.13 on this machine to run Lambda's artefact: install one, or set OWNKEY_PYTHON313")
    opt = twin.payments_layer if function == "payments" else twin.layers[0]
    paths = [str(twin.functions[function]), str(opt / "python")]
    command = [interpreter, "-S", "-E", "-P", "-W", "error", "-c", IMPORT_HANDLER, *paths]
    environment = ENVIRONMENT | NOBODY_ANSWERS
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    modules, *logged = done.stdout.splitlines() or [""]
    if function == "payments":
        # It asks for its secret before its first event, with all else in memory.
        assert "AWS secretsmanager did not answer." in logged[-1], done
    else:
        assert done.returncode == 0, done.stderr
    return set(modules.split())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_needs_nothing_that_was_trimmed(twin: Artefacts, function: str) -> None:
    assert "ownkey" in imported_by(twin, function)


def test_payments_checks_signatures_with_stripes_library_and_has_no_client_of_it(twin: Artefacts) -> None:
    imported = imported_by(twin, "payments")
    assert "stripe" in imported
    assert not imported & {"requests", "httpx"}


@pytest.mark.parametrize("function", ["billing", "upkeep", "payments"])
def test_functions_behind_no_http_route_do_not_load_the_web_framework(twin: Artefacts, function: str) -> None:
    assert not imported_by(twin, function) & {"fastapi", "starlette", "mangum", "pydantic"}


# ---------------------------------------------------------------- what stops a build, and what is said


@pytest.mark.parametrize("name", ["evil.pth", "deep/er/evil.pth", "sitecustomize.py", "usercustomize/__init__.py"])
def test_a_package_that_brings_code_to_run_by_itself_stops_the_build(tmp_path: Path, name: str) -> None:
    bad = tmp_path / name
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.touch()
    with pytest.raises(BuildError, match=name.partition("/")[0]):
        refuse_what_runs_by_itself(tmp_path)


def test_a_wheel_of_another_machine_stops_the_build(twin: Artefacts) -> None:
    other = next(arch for arch, machine in elf.MACHINES.items() if machine != native_machine(twin))
    with pytest.raises(BuildError, match=f"is not built for {other}"):
        refuse_wrong_machine(twin.layers[0] / "python", other)


def native_machine(twin: Artefacts) -> int | None:
    return elf.machine(next(elf.native_modules(twin.layers[0])))


def test_native_modules_ship_without_symbols_and_debugging_information(twin: Artefacts) -> None:
    for native in elf.native_modules(twin.layers[0]):
        content = native.read_bytes()
        assert elf.stripped(content) == content
        assert b".debug_info\0" not in content


def test_without_python_313_the_build_says_loudly_that_it_ships_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(python313, "find", lambda: None)
    (tmp_path / "module.py").touch()
    python313.compile_tree(tmp_path, "/var/task")
    assert "WARNING: no Python 3.13 found" in capsys.readouterr().out
    assert files(tmp_path) == [tmp_path / "module.py"]


def test_a_function_without_a_handler_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "functions" / "new").mkdir(parents=True)
    with pytest.raises(BuildError, match=r"new/handler\.py is missing"):
        code.build_function(tmp_path, "new", tmp_path / "out")
