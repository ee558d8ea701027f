"""The door of saving: every hostile URL and name as a base URL, through management and the real validation behind it.

Nothing is stored, nobody is called, and the answer does not repeat the key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from ownkey.upstream import Upstream, UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict
from ownkey.validation.validator import Validator
from ownkey.vault import Opener, Sealer
from tests.security.canary import KEY, Canary, listening, tap
from tests.security.hostile import ANSWERS, BASE_URLS, URLS
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, FakeKms
from tests.support.management import CATALOG, Management, management
from tests.support.validation import validator_of

REFUSED_AS_TEXT = {(400, "unsafe_base_url"), (400, "invalid_parameter")}
"""The second: empty, or longer than any body may be."""
REFUSED_ON_THE_WAY = {(502, "provider_unreachable")}


class Validation:
    """The validation function, in process: its event and its result are JSON. At first it accepts all."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self.real = False

    async def validate(self, candidate: Candidate) -> Finding:
        if not self.real:
            return Finding(Verdict.ACCEPTED, None, 200)
        event = json.loads(json.dumps(candidate.to_json()))
        return Finding.from_json((await self._validator.validate(Candidate.from_json(event))).to_json())


@dataclass
class Door:
    """The API, a credential that is saved already, and the canary."""

    api: Management
    credential_id: str
    canary: Canary

    @property
    def aws_port(self) -> int | None:
        """Of the tables."""
        return urlsplit(self.api.tables.endpoint).port

    async def wrong(self, base_urls: Mapping[str, str], refusals: set[tuple[int, str]]) -> dict[str, str]:
        """Case → what is wrong with the answers, of those that are not refused in one of these ways."""
        found = {}
        for case, url in base_urls.items():
            body = {"key": KEY, "base_url": url.replace("{port}", str(self.canary.port))}
            for method, path, more in (
                ("POST", "/api/byok", {"provider": "openai-compatible"}),
                ("PATCH", f"/api/byok/{self.credential_id}", {}),
            ):
                response = await self.api.call(method, path, json=body | more)
                answered = (response.status_code, response.json().get("error", {}).get("code"))
                if answered not in refusals or KEY in response.text:
                    found[f"{method}: {case}"] = response.text
        return found


@pytest.fixture
async def door(tables: Tables) -> AsyncIterator[Door]:
    kms, upstream = FakeKms(), Upstream(UrlPolicy())
    validation = Validation(validator_of(Opener(kms, on_open=lambda _: None), upstream, CATALOG))
    async with listening() as canary, management(tables, sealer=Sealer(kms, KMS_KEY), validation=validation) as api:
        saved = await api.save(provider="openai-compatible", base_url="https://llm.example/v1")
        validation.real = True
        yield Door(api, saved["id"], canary)
        (kept,) = (await api.ok("GET", "/api/byok"))["data"]
        assert (kept["version"], kept["base_url"]) == (1, "https://llm.example/v1")
        assert (canary.connections, canary.saw_the_key) == (0, False)
    await upstream.close()


async def test_no_hostile_url_can_be_saved(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = tap(monkeypatch, lambda _: ["127.0.0.1"], spare=door.aws_port)
    assert await door.wrong(URLS | BASE_URLS, REFUSED_AS_TEXT) == {}
    assert (wire.asked, wire.connected) == ([], [])


async def test_no_name_that_resolves_inside_can_be_saved(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Management cannot know: the validation's transport refuses, and what was not confirmed is not stored."""
    resolved: dict[str, list[str]] = {}
    wire = tap(monkeypatch, lambda host: resolved[host], spare=door.aws_port)
    for case, answer in ANSWERS.items():
        resolved[answer.host] = list(answer.addresses)
        assert await door.wrong({case: f"https://{answer.host}/v1"}, REFUSED_ON_THE_WAY) == {}
    assert (len(wire.asked), wire.connected) == (2 * len(ANSWERS), [])


async def test_a_public_one_gets_as_far_as_its_address(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the refusals above are not those of a broken door."""
    wire = tap(monkeypatch, lambda _: ["93.184.215.14"], divert_to=1, spare=door.aws_port)
    saved = {"a public one": "https://llm.example/v1", "another": "https://93.184.215.14/v1"}
    assert await door.wrong(saved, REFUSED_ON_THE_WAY) == {}
    assert set(wire.connected) == {("93.184.215.14", 443)}
