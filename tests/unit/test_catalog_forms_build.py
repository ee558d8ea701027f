"""The table of providers, as its build refuses it: forms that could not be read, shown or proven."""

from __future__ import annotations

from typing import Any

import pytest

from tools.catalog import build, providers

BAD = {"pattern": "(", "verdict": "limited"}
TABLE = {row["id"]: row for row in build.provider_table()}


class TestTheBuildRefuses:
    def problems(self, provider: str, form_id: str, **changes: Any) -> str:
        row = TABLE[provider]
        forms = [{**each, **changes} if each["id"] == form_id else each for each in row["forms"]]
        return "\n".join(providers.problems([{**row, "forms": forms}]))

    def field_problems(self, provider: str, name: str, **changes: Any) -> str:
        row = TABLE[provider]
        changed = {key: value for key, value in {**row["fields"][name], **changes}.items() if value is not None}
        return "\n".join(providers.problems([{**row, "fields": {**row["fields"], name: changed}}]))

    @pytest.mark.parametrize(
        ("form_id", "changes", "complaint"),
        [
            ("access_key", {"id": "session"}, "two of one name"),
            ("access_key", {"id": "Access Key"}, "lower-case"),
            ("access_key", {"scheme": "abacus"}, "abacus"),
            ("access_key", {"scheme": "header"}, "other secret fields"),
            ("access_key", {"service": None}, "a service is named"),
            ("access_key", {"base_url": "https://{access_key_id}.amazonaws.com"}, "no public field"),
            ("access_key", {"base_url": "https://{nobody}.amazonaws.com"}, "no public field"),
            ("access_key", {"base_url": "http://{region}.amazonaws.com"}, "https"),
            ("access_key", {"base_url": None}, "base URL unless"),
            ("access_key", {"mask": ["secret"]}, "mask"),
            ("access_key", {"fields": {"region": "aws_region"}}, "other secret fields"),
            ("access_key", {"fields": {"strength": "x"}}, "strength"),
            ("access_key", {"token_url": "https://sts.amazonaws.com"}, "token URL"),
            ("access_key", {"base_urls": {"region": {"mars": "https://mars.example"}}}, "no such choices"),
            ("access_key", {"headers": {"X Y": "z"}}, "header"),
            ("access_key", {"validation": {**TABLE["bedrock"]["validation"], "path": "/x?y=z"}}, "no query"),
            ("access_key", {"validation": {**TABLE["bedrock"]["validation"], "path": "x"}}, "neither a path"),
            ("access_key", {"validation": {**TABLE["bedrock"]["validation"], "says": [BAD]}}, "regular expression"),
            ("api_key", {"auth": {"header": "Authorization", "template": "Bearer"}}, "place for the key"),
        ],
    )
    def test_forms_that_could_go_wrong(self, form_id, changes, complaint):
        assert complaint in self.problems("bedrock", form_id, **changes)

    @pytest.mark.parametrize(
        ("provider", "name", "changes", "complaint"),
        [
            ("azure", "host", {"pattern": "[^ ]+"}, "could make another"),
            ("azure", "host", {"pattern": "[a-z.]+"}, "could make another"),
            ("azure", "host", {"pattern": None}, "needs a pattern"),
            ("azure", "deployment", {"pattern": None}, "needs a pattern"),
            ("azure", "deployment", {"pattern": "("}, "regular expression"),
            ("azure", "deployment", {"example": "no no"}, "example does not fit"),
            ("bedrock", "region", {"choices": ["us-east-1", "evil/x"]}, "could make another"),
            ("bedrock", "region", {"required": False}, "may be left out"),
            ("bedrock", "secret_access_key", {"default": "x"}, "a secret has no default"),
            ("vertex", "location", {"default": "mars"}, "default does not fit"),
        ],
    )
    def test_fields_that_could_go_wrong(self, provider, name, changes, complaint):
        assert complaint in self.field_problems(provider, name, **changes)

    def test_a_field_that_no_form_has(self):
        row = TABLE["openai"]
        spare = {**row["fields"], "spare": {"label": "Spare"}}
        assert "no form has these fields: spare" in providers.problems([{**row, "fields": spare}])[0]
