"""What a function needs from its environment, and how it says so."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ownkey.runtime.settings import (
    BillingSettings,
    InferenceSettings,
    KeysSettings,
    Settings,
    SettingsError,
    UpkeepSettings,
    ValidationSettings,
)

INFERENCE = {
    "AWS_REGION": "eu-west-1",
    "POWERTOOLS_SERVICE_NAME": "inference",
    "REGISTRY_TABLE": "registry",
    "RECORDS_TABLE": "records",
    "CREDITS_TABLE": "credits",
    "HEALTH_TABLE": "health",
    "AUDIT_TABLE": "audit",
    "COUNTERS_TABLE": "counters",
    "ANSWERS_TABLE": "answers",
    "ROLLUPS_TABLE": "rollups",
    "VAULT_KEY_ID": "arn:aws:kms:eu-west-1:123456789012:key/1",
}


def test_what_is_set_is_read_and_the_rest_has_defaults():
    settings = InferenceSettings.from_env({**INFERENCE, "PATH": "/bin"})
    assert (settings.registry_table, settings.vault_key_id) == ("registry", INFERENCE["VAULT_KEY_ID"])
    assert (settings.log_level, settings.margin_percent) == ("INFO", Decimal(5))
    assert (settings.imported_gateway_keys, settings.ownkey_upstreams, settings.ownkey_allowed_origins) == (
        False,
        {},
        (),
    )


def test_values_are_parsed():
    settings = InferenceSettings.from_env(
        {
            **INFERENCE,
            "LOG_LEVEL": "DEBUG",
            "MARGIN_PERCENT": "7.5",
            "IMPORTED_GATEWAY_KEYS": "true",
            "OWNKEY_UPSTREAMS": '{"a": "http://127.0.0.1:9", "b": {"base_url": "http://[::1]:8", "token_url": "t"}}',
            "OWNKEY_ALLOWED_ORIGINS": '["http://127.0.0.1:9"]',
        }
    )
    assert (settings.log_level, settings.margin_percent, settings.imported_gateway_keys) == (
        "DEBUG",
        Decimal("7.5"),
        True,
    )
    assert settings.ownkey_upstreams == {
        "a": {"base_url": "http://127.0.0.1:9"},
        "b": {"base_url": "http://[::1]:8", "token_url": "t"},
    }
    assert settings.ownkey_allowed_origins == ("http://127.0.0.1:9",)


def test_all_that_is_missing_is_named_at_once_and_an_empty_variable_is_missing():
    env = {**INFERENCE, "RECORDS_TABLE": ""}
    del env["VAULT_KEY_ID"]
    with pytest.raises(SettingsError) as raised:
        InferenceSettings.from_env(env)
    assert str(raised.value) == (
        "InferenceSettings needs RECORDS_TABLE, VAULT_KEY_ID: set them in the function's environment."
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MARGIN_PERCENT", "five", "a number from 0 to 1000"),
        ("MARGIN_PERCENT", "-1", "a number from 0 to 1000"),
        ("MARGIN_PERCENT", "NaN", "a number from 0 to 1000"),
        ("IMPORTED_GATEWAY_KEYS", "yes", "true or false"),
        ("OWNKEY_UPSTREAMS", "{", "a JSON object of base URLs by provider id"),
        ("OWNKEY_UPSTREAMS", "[]", "a JSON object of base URLs by provider id"),
        ("OWNKEY_UPSTREAMS", '{"a": {"token_url": "t"}}', "a JSON object of base URLs by provider id"),
        ("OWNKEY_ALLOWED_ORIGINS", '"http://127.0.0.1"', "a JSON list of strings"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_value(variable: str, value: str, expected: str):
    with pytest.raises(SettingsError) as raised:
        InferenceSettings.from_env({**INFERENCE, variable: value})
    assert str(raised.value) == f"{variable} must be {expected}."
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "settings", [InferenceSettings, KeysSettings, ValidationSettings, BillingSettings, UpkeepSettings]
)
def test_each_function_starts_with_its_required_variables_and_with_none_fewer(settings: type[Settings]):
    env = dict.fromkeys(settings.required_variables(), "value")
    settings.from_env(env)
    for variable in env:
        with pytest.raises(SettingsError, match=variable):
            settings.from_env({name: value for name, value in env.items() if name != variable})


def test_only_what_deals_with_providers_is_told_of_servers_that_stand_for_them():
    reach = {"OWNKEY_UPSTREAMS", "OWNKEY_ALLOWED_ORIGINS"}
    for settings in (InferenceSettings, KeysSettings, ValidationSettings):
        assert reach < set(settings.variables())
    for settings in (BillingSettings, UpkeepSettings):
        assert not reach & set(settings.variables())
