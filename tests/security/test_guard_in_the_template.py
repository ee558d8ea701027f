"""What only a local stack may have, a deployed one cannot: no template, parameter or layer sets it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ownkey.runtime.settings import (
    BillingSettings,
    InferenceSettings,
    KeysSettings,
    PaymentsSettings,
    UpkeepSettings,
    ValidationSettings,
)
from tests.template.translation import FUNCTIONS, ROOT, logical_id, resources, source, translated

LOCAL = {"OWNKEY_ALLOWED_ORIGINS", "OWNKEY_UPSTREAMS"}
"""Origins that the guard lets through; base URLs in a provider's place."""
STEERING = LOCAL | {
    *("AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("SSLKEYLOGFILE", "PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "AWS_LAMBDA_RUNTIME_API"),
}
"""And what else in an environment could lead traffic, trust or code elsewhere."""
SETTINGS = {
    "inference": InferenceSettings,
    "keys": KeysSettings,
    "validation": ValidationSettings,
    "billing": BillingSettings,
    "upkeep": UpkeepSettings,
    "payments": PaymentsSettings,
}


def choices() -> list[dict[str, str]]:
    """Each value of each parameter that has a list of them: whatever a condition can bring in."""
    return [
        {name: str(value)}
        for name, each in translated()["Parameters"].items()
        if len(each.get("AllowedValues", ())) <= 3
        for value in each.get("AllowedValues", ())
    ]


def environments(**parameters: str) -> dict[str, Any]:
    functions = resources("AWS::Lambda::Function", **parameters)
    return {name: functions[logical_id(name)]["Environment"]["Variables"] for name in FUNCTIONS}


def test_no_function_has_them_whatever_the_parameters_say() -> None:
    seen = choices()
    assert len(seen) > 1
    for parameters in seen:
        for name, variables in environments(**parameters).items():
            assert not {variable.upper() for variable in variables} & STEERING, (name, parameters)


def test_there_is_no_function_besides() -> None:
    assert resources("AWS::Lambda::Function").keys() == {logical_id(name) for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_parameter_can_fill_a_variable_and_never_name_one(name: str) -> None:
    """The names are literal keys, each one that the function's settings read: there is no place for another."""
    function = resources("AWS::Lambda::Function")[logical_id(name)]
    assert function["Environment"].keys() == {"Variables"}
    variables = function["Environment"]["Variables"]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", variable) for variable in variables)
    assert variables.keys() <= set(SETTINGS[name].variables()) | {"AWS_LAMBDA_EXEC_WRAPPER"}
    assert variables.get("AWS_LAMBDA_EXEC_WRAPPER", "/opt/ownkey-bootstrap") == "/opt/ownkey-bootstrap"


def test_nothing_writes_the_template_while_it_is_deployed() -> None:
    """A macro or an include could bring in what no test has seen."""
    assert re.findall(r"(?m)^Transform:.*$", source()) == ["Transform: AWS::Serverless-2016-10-31"]
    for word in (
        "Fn::Transform",
        "AWS::Include",
        "AWS::LanguageExtensions",
        "Fn::ForEach",
        "AWS::CloudFormation::Macro",
    ):
        assert word not in source()
    assert not any(word in source() for word in LOCAL)


def test_layers_are_the_stacks_own() -> None:
    """Code in a layer runs in every function and could set anything."""
    for name in FUNCTIONS:
        layers = resources("AWS::Lambda::Function")[logical_id(name)]["Layers"]
        own = ["PaymentsLayer"] if name == "payments" else []
        named = [layer["Ref"].rstrip("0123456789abcdef") for layer in layers]
        assert named == ["DependenciesLayer", "SharedLayer", *own]
    assert not any("Layer" in name for name in translated()["Parameters"])


def test_nothing_that_is_deployed_sets_them_by_itself() -> None:
    read = re.compile("|".join(LOCAL | {name.lower() for name in LOCAL}))
    shipped = [path for folder in ("shared", "functions", "layers") for path in (ROOT / folder).rglob("*")]
    mention = {
        path.relative_to(ROOT).as_posix()
        for path in shipped
        if path.is_file() and path.suffix in (".py", "", ".toml", ".txt", ".in") and read.search(path.read_text())
    }
    handlers = {f"functions/{name}/handler.py" for name in ("inference", "keys", "validation")}
    assert mention == {"shared/ownkey/runtime/settings.py"} | handlers
    for name in handlers:
        assert "os.environ[" not in (ROOT / name).read_text()
