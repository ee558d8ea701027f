"""`open_check`: whether a KMS key opens what it sealed, before an account's secrets are wrapped under it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ownkey.domain.credentials import Binding
from ownkey.domain.secrets import Secret
from ownkey.validation.opening import ACTION, OpenCheck, open_check
from ownkey.vault import Opener, Sealer
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms

BINDING = Binding("acme", "kms-check", "kms-check_1", 1, "kms-check")
NOW = "2026-11-21T08:00:00Z"


async def check_of(kms: FakeKms) -> OpenCheck:
    throwaway = {"check": Secret("a throwaway of no value")}
    return OpenCheck(BINDING, await Sealer(kms, KMS_KEY).seal(BINDING, throwaway, now=NOW, kms_key_id=OWN_KMS_KEY))


async def test_what_opens_opens() -> None:
    kms = FakeKms()
    event = json.loads(json.dumps((await check_of(kms)).to_json()))
    assert event["action"] == ACTION
    assert await open_check(Opener(kms), event) == {"opened": True, "reason": None}


async def test_what_does_not_says_why() -> None:
    kms = FakeKms()
    event = (await check_of(kms)).to_json()
    kms.disabled.add(OWN_KMS_KEY)
    answer = await open_check(Opener(kms), event)
    assert answer["opened"] is False
    assert "DisabledException" in answer["reason"]


@pytest.mark.parametrize("changed", [{"account_id": "other"}, {"credential_id": "cred_1"}, {"destination": "x"}])
async def test_it_says_nothing_of_another_identity(changed: dict[str, str]) -> None:
    kms = FakeKms()
    check = await check_of(kms)
    event = replace(check, binding=replace(BINDING, **changed)).to_json()
    assert (await open_check(Opener(kms), event))["opened"] is False
