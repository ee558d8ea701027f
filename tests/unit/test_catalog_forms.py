"""The forms a credential can be given in: the bodies people send, what becomes of them, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import Catalog, Form, FormInput, Scheme, mask_of, read_form, wire_members
from ownkey.domain.errors import InvalidCredentialFormat, InvalidParameter, OwnkeyError
from ownkey.domain.secrets import Secret

CATALOG = Catalog.load()
PEM = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 8 + "-----END PRIVATE KEY-----\n"

AZURE = {
    "azure_endpoint": "https://your-resource.openai.azure.com",
    "azure_api_key": "f" * 28 + "WXYZ",
    "azure_deployment": "gpt-5-4",
}
ACCESS_KEY = {
    "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "aws_region": "us-east-1",
}
SESSION = {
    "aws_credentials": {
        "access_key_id": "ASIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "session_token": "IQoJb3JpZ2luX2VjEXAMPLE",
        "region": "eu-west-1",
    }
}
SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "your-project",
    "private_key_id": "0123456789abcdef",
    "private_key": PEM,
    "client_email": "your-sa@your-project.iam.gserviceaccount.com",
}
VERTEX = {"vertex_service_account": SERVICE_ACCOUNT}
WORKLOAD = {"identity_provider_id": "idp_1", "service_account_id": "svc_1"}


def read(provider: str, members: dict[str, Any], **current: Any) -> FormInput:
    return read_form(CATALOG.provider(provider), members, **current)


def refused(provider: str, members: dict[str, Any], **current: Any) -> OwnkeyError:
    with pytest.raises((InvalidParameter, InvalidCredentialFormat)) as caught:
        read(provider, members, **current)
    return caught.value


def revealed(given: FormInput) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in given.secrets.items()}


def form(provider: str, form_id: str) -> Form:
    return CATALOG.provider(provider).form(form_id)


class TestPlainKeys:
    def test_every_provider_of_plain_keys_takes_one_as_before(self):
        plain = [p for p in CATALOG.providers if any(form.id == "key" and not form.base_url for form in p.forms)]
        assert len(plain) >= 23
        for provider in plain:
            given = read(provider.id, {"key": " sk-1234567890 "})
            assert (given.form.id, given.public, revealed(given)) == ("key", {}, {"key": "sk-1234567890"})
            assert (given.destination, given.base_url) == (None, None)

    def test_with_an_address_of_the_users_own(self):
        given = read("openai-compatible", {"key": "local", "base_url": "https://llm.example/v1"})
        assert (given.destination, given.base_url) == (None, "https://llm.example/v1")

    @pytest.mark.parametrize("pasted", ["", "  ", "sk-a b", "sk-a\nb", '"sk-abc"', "sk-ключ", "ok-acme-" + "a" * 49])
    def test_what_cannot_be_a_key_is_refused(self, pasted):
        assert refused("openai", {"key": pasted}).param == "key"

    def test_a_missing_key_is_told(self):
        assert refused("openai", {}).param == "key"


class TestAzure:
    def test_the_body_as_documented(self):
        given = read("azure", AZURE)
        assert given.form.id == "key"
        assert given.public == {"host": "your-resource.openai.azure.com", "deployment": "gpt-5-4"}
        assert revealed(given) == {"key": AZURE["azure_api_key"]}
        assert (given.destination, given.base_url) == ("https://your-resource.openai.azure.com", None)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://your-resource.openai.azure.com/",
            "HTTPS://Your-Resource.OpenAI.Azure.com".replace("HTTPS", "https"),
            "https://your-resource.cognitiveservices.azure.com",
            "https://your-resource.services.ai.azure.com",
            "https://your-resource.openai.azure.us",
            "https://your-resource.openai.azure.cn",
        ],
    )
    def test_its_hosts(self, endpoint):
        given = read("azure", {**AZURE, "azure_endpoint": endpoint})
        assert given.destination == endpoint.lower().rstrip("/")

    @pytest.mark.parametrize("copied", ["/openai", "/openai/v1/", "/anthropic/v1", "/models", "/api/projects/proj-1"])
    def test_what_the_portal_shows_behind_a_host_says_nothing_more(self, copied):
        endpoint = f"https://your-resource.services.ai.azure.com{copied}"
        given = read("azure", {**AZURE, "azure_endpoint": endpoint})
        assert given.destination == "https://your-resource.services.ai.azure.com"

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://your-resource.openai.azure.com#@evil.example",
            "https://your-resource.openai.azure.com?@evil.example",
            "https://your-resource.openai.azure.com/openai/deployments/gpt-5-4",
            "https://your-resource.openai.azure.com/openai/v1/@evil.example",
            "https://your-resource.openai.azure.com/api/projects/a/../b",
            "https://your-resource.openai.azure.com\\@evil.example",
        ],
    )
    def test_an_endpoint_with_more_than_a_host_is_refused(self, endpoint):
        assert refused("azure", {**AZURE, "azure_endpoint": endpoint}).param == "azure_endpoint"

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://evil.example/#.openai.azure.com",
            "https://evil.example#.openai.azure.com",
            "https://a@evil.example",
            "https://your-resource.openai.azure.com@evil.example",
            "https://your-resource.openai.azure.com.evil.example",
            "https://evil.example\\.openai.azure.com",
            "https://evil#.openai.azure.com",
            "http://your-resource.openai.azure.com",
            "https://your-resource.openai.azure.com:8443",
            "https://.openai.azure.com",
            "https://-a.openai.azure.com",
            "https://a.b.openai.azure.com",
            "your-resource.openai.azure.com.evil.example",
            "https://apim.contoso.example/azure",
        ],
    )
    def test_any_other_endpoint_is_an_address_of_the_users_own_and_nothing_is_made_of_it(self, endpoint):
        given = read("azure", {**AZURE, "azure_endpoint": endpoint})
        assert (given.destination, given.base_url) == (None, endpoint)
        assert given.public == {"deployment": "gpt-5-4"}

    def test_a_dated_version_may_be_named(self):
        assert read("azure", {**AZURE, "api_version": "2024-10-21"}).public["api_version"] == "2024-10-21"
        assert refused("azure", {**AZURE, "api_version": "latest"}).param == "api_version"

    @pytest.mark.parametrize("member", sorted(AZURE))
    def test_each_part_is_needed(self, member):
        error = refused("azure", {name: value for name, value in AZURE.items() if name != member})
        assert error.param == member


class TestBedrock:
    def test_an_access_key_as_documented(self):
        given = read("bedrock", ACCESS_KEY)
        assert (given.form.id, given.form.scheme) == ("access_key", Scheme.SIGV4)
        assert given.public == {"region": "us-east-1"}
        assert revealed(given) == {
            "access_key_id": ACCESS_KEY["aws_access_key_id"],
            "secret_access_key": ACCESS_KEY["aws_secret_access_key"],
        }
        assert given.destination == "https://bedrock-runtime.us-east-1.amazonaws.com"

    def test_credentials_with_a_session_token_as_documented(self):
        given = read("bedrock", SESSION)
        assert (given.form.id, given.public) == ("session", {"region": "eu-west-1"})
        inner = dict(SESSION["aws_credentials"])
        inner.pop("region")
        assert revealed(given) == inner

    def test_the_session_token_may_be_left_out(self):
        inner = {name: value for name, value in SESSION["aws_credentials"].items() if name != "session_token"}
        assert "session_token" not in read("bedrock", {"aws_credentials": inner}).secrets

    def test_a_bedrock_api_key(self):
        given = read("bedrock", {"key": "ABSKQmVkcm9ja0FQSUtleS1l", "aws_region": "us-west-2"})
        assert (given.form.id, given.public, given.form.scheme) == ("api_key", {"region": "us-west-2"}, Scheme.HEADER)

    def test_a_role_stores_nothing(self):
        arn = "arn:aws:iam::123456789012:role/ownkey-bedrock-team"
        given = read("bedrock", {"role_arn": arn, "aws_region": "us-east-1"})
        assert given.form.keyless
        assert (given.form.id, given.public, given.secrets) == ("role", {"role_arn": arn, "region": "us-east-1"}, {})

    @pytest.mark.parametrize(
        "region", ["us-east-9", "us-east-1.evil.example", "us-east-1#", "us-east-1/", "US-EAST-1", "", "../x", "x@y"]
    )
    def test_regions_are_those_there_are(self, region):
        error = refused("bedrock", {**ACCESS_KEY, "aws_region": region})
        assert error.param == "aws_region"
        assert "us-east-1" in error.fix

    def test_what_is_missing_is_told_by_its_path(self):
        inner = {name: value for name, value in SESSION["aws_credentials"].items() if name != "region"}
        assert refused("bedrock", {"aws_credentials": inner}).param == "aws_credentials.region"
        assert refused("bedrock", {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}).param == "aws_secret_access_key"
        assert refused("bedrock", {"key": "ABSK1234"}).param == "aws_region"

    def test_two_forms_at_once_are_refused(self):
        error = refused("bedrock", ACCESS_KEY | SESSION)
        assert error.param == "aws_credentials"
        assert "no place" in error.message

    def test_an_unknown_member_is_refused_inside_and_outside(self):
        assert refused("bedrock", {**ACCESS_KEY, "aws_regoin": "x"}).param == "aws_regoin"
        wrong = {"aws_credentials": {**SESSION["aws_credentials"], "sessionToken": "x"}}
        assert refused("bedrock", wrong).param == "aws_credentials"

    def test_it_goes_to_aws_alone(self):
        assert refused("bedrock", {**ACCESS_KEY, "base_url": "https://evil.example"}).param == "base_url"

    def test_a_form_can_be_named(self):
        given = read("bedrock", {**ACCESS_KEY, "form": "access_key"})
        assert given.form.id == "access_key"
        assert refused("bedrock", {**ACCESS_KEY, "form": "role"}).param in (
            "aws_access_key_id",
            "aws_secret_access_key",
        )
        assert refused("bedrock", {**ACCESS_KEY, "form": "sword"}).param == "form"
        assert refused("bedrock", {**ACCESS_KEY, "form": ["role"]}).param == "form"


class TestVertex:
    def test_the_body_as_documented(self):
        given = read("vertex", VERTEX)
        assert given.form.scheme is Scheme.GOOGLE_SERVICE_ACCOUNT
        assert given.public == {
            "project_id": "your-project",
            "client_email": "your-sa@your-project.iam.gserviceaccount.com",
            "location": "us-central1",
        }
        assert revealed(given) == {"private_key_id": "0123456789abcdef", "private_key": PEM.strip()}
        assert given.destination == (
            "https://us-central1-aiplatform.googleapis.com/v1/projects/your-project/locations/us-central1"
        )

    def test_the_key_file_as_google_writes_it(self):
        file = SERVICE_ACCOUNT | {
            "client_id": "1",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://evil.example/token",
            "universe_domain": "googleapis.com",
        }
        given = read("vertex", {"vertex_service_account": json.dumps(file)})
        assert given.form.token_url == "https://oauth2.googleapis.com/token"
        assert "evil" not in repr(given)
        assert given.public.keys() == {"project_id", "client_email", "location"}

    @pytest.mark.parametrize(
        ("location", "host"),
        [
            ("global", "aiplatform.googleapis.com"),
            ("eu", "aiplatform.eu.rep.googleapis.com"),
            ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ],
    )
    def test_each_location_has_its_host(self, location, host):
        given = read("vertex", {**VERTEX, "vertex_location": location})
        assert given.destination == f"https://{host}/v1/projects/your-project/locations/{location}"

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"type": "authorized_user"}, "vertex_service_account.type"),
            ({"universe_domain": "evil.example"}, "vertex_service_account.universe_domain"),
            ({"project_id": "a/../../x"}, "vertex_service_account.project_id"),
            ({"project_id": "evil#"}, "vertex_service_account.project_id"),
            ({"client_email": "me@gmail.com"}, "vertex_service_account.client_email"),
            ({"private_key": "-----BEGIN PRIVATE KEY-----"}, "vertex_service_account.private_key"),
            ({"private_key": 5}, "vertex_service_account.private_key"),
            ({"private_key": None}, "vertex_service_account.private_key"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_told_why(self, changes, param):
        error = refused("vertex", {"vertex_service_account": SERVICE_ACCOUNT | changes})
        assert error.param == param

    @pytest.mark.parametrize("file", ["{", "[]", 5, "null", ["x"]])
    def test_what_is_no_object_is_told(self, file):
        assert refused("vertex", {"vertex_service_account": file}).param == "vertex_service_account"


class TestKeyless:
    def test_openai(self):
        given = read("openai", WORKLOAD)
        assert given.form.keyless
        assert given.public == WORKLOAD | {"audience": "https://api.openai.com/v1"}
        assert given.form.token_url == "https://auth.openai.com/oauth/token"

    def test_anthropic(self):
        members = {
            "federation_rule_id": "fdrl_1",
            "organization_id": "01234567-89ab-cdef-0123-456789abcdef",
            "workspace_id": "wrkspc_1",
        }
        given = read("anthropic", members)
        assert given.public == members | {"audience": "https://api.anthropic.com"}
        assert given.form.auth.header == "Authorization"

    def test_a_key_beside_it_is_one_too_many(self):
        assert refused("openai", {**WORKLOAD, "key": "sk-1"}).param == "key"

    @pytest.mark.parametrize(
        ("provider", "members"),
        [
            ("openai", WORKLOAD),
            ("bedrock", {"role_arn": "arn:aws:iam::123456789012:role/r", "aws_region": "us-east-1"}),
        ],
    )
    def test_it_goes_to_its_vendor_alone(self, provider, members):
        """Nothing is sealed, so nothing would bind what it gets to an address of the user's own."""
        assert refused(provider, {**members, "base_url": "https://llm.example/v1"}).param == "base_url"

    def test_part_of_it_is_too_little(self):
        assert refused("openai", {"identity_provider_id": "idp_1"}).param == "service_account_id"


class TestChanges:
    """Of a stored credential: what is not given stays, and its secret need not be given."""

    AZURE_NOW = ("key", {"host": "your-resource.openai.azure.com", "deployment": "old", "api_version": "2024-10-21"})

    def test_a_public_field_changes_alone(self):
        given = read("azure", {"azure_deployment": "new"}, current=self.AZURE_NOW)
        assert given.secrets == {}
        assert given.public == self.AZURE_NOW[1] | {"deployment": "new"}
        assert given.destination == "https://your-resource.openai.azure.com"

    def test_a_secret_changes_alone(self):
        given = read("azure", {"azure_api_key": "k" * 32}, current=self.AZURE_NOW)
        assert (given.public, revealed(given)) == (self.AZURE_NOW[1], {"key": "k" * 32})

    def test_null_takes_an_optional_field_away(self):
        given = read("azure", {"api_version": None}, current=self.AZURE_NOW)
        assert "api_version" not in given.public
        assert refused("azure", {"azure_deployment": None}, current=self.AZURE_NOW).param == "azure_deployment"

    def test_nothing_given_changes_nothing(self):
        for members in ({}, {"form": "key"}):
            given = read("azure", members, current=self.AZURE_NOW)
            assert (given.public, given.secrets) == (self.AZURE_NOW[1], {})

    def test_an_endpoint_of_the_users_own_stays_as_it_is(self):
        given = read("azure", {"azure_api_key": "k" * 32}, current=("key", {"deployment": "d"}))
        assert (given.destination, given.base_url, given.public) == (None, None, {"deployment": "d"})

    def test_another_region_is_another_destination(self):
        given = read("bedrock", {"aws_region": "eu-west-1"}, current=("access_key", {"region": "us-east-1"}))
        assert given.form.id == "access_key"
        assert given.destination == "https://bedrock-runtime.eu-west-1.amazonaws.com"

    def test_half_a_secret_is_too_little(self):
        members = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}
        error = refused("bedrock", members, current=("access_key", {"region": "us-east-1"}))
        assert error.param == "aws_secret_access_key"

    def test_an_object_is_given_whole(self):
        current = ("session", {"region": "us-east-1"})
        inner = {name: SESSION["aws_credentials"][name] for name in ("access_key_id", "secret_access_key")}
        assert refused("bedrock", {"aws_credentials": inner}, current=current).param == "aws_credentials.region"
        error = refused("bedrock", {"aws_credentials": {"region": "eu-west-1"}}, current=current)
        assert error.param == "aws_credentials.access_key_id"

    def test_a_credential_may_change_its_form(self):
        given = read("bedrock", {"key": "ABSKQmVkcm9ja0FQSUtleS1l"}, current=("access_key", {"region": "us-east-1"}))
        assert (given.form.id, given.public) == ("api_key", {"region": "us-east-1"})

    def test_a_location_changes_alone(self):
        current = ("service_account", read("vertex", VERTEX).public)
        given = read("vertex", {"vertex_location": "global"}, current=current)
        assert given.secrets == {}
        assert given.public == current[1] | {"location": "global"}


class TestMasks:
    @pytest.mark.parametrize(
        ("provider", "members", "mask"),
        [
            ("openai", {"key": "sk-proj-0123456789abcdABCD"}, "sk-…ABCD"),
            ("azure", AZURE, "…WXYZ, your-resource.openai.azure.com"),
            ("bedrock", ACCESS_KEY, "AKIA…MPLE, us-east-1"),
            ("bedrock", SESSION, "ASIA…MPLE, eu-west-1"),
            ("bedrock", {"key": "ABSKQmVkcm9ja0FQSUtleS1l", "aws_region": "us-west-2"}, "…eS1l, us-west-2"),
            ("vertex", VERTEX, "your-sa@your-project.iam.gserviceaccount.com, us-central1"),
            ("openai", WORKLOAD, "svc_1"),
        ],
    )
    def test_show_whose_and_where_it_is(self, provider, members, mask):
        given = read(provider, members)
        assert mask_of(given.form, given.public, given.secrets) == mask

    @pytest.mark.parametrize("provider", CATALOG.providers, ids=lambda provider: provider.id)
    def test_never_show_more_than_eight_characters_of_a_secret(self, provider):
        for each in provider.forms:
            secrets = {field.name: f"{n}Zq" * 20 for n, field in enumerate(each.fields) if field.secret}
            shown = mask_of(each, {}, {name: Secret(value) for name, value in secrets.items()})
            assert sum(char in "Zq" for char in shown) <= 8


CANARY = "canary-4f1d9e-secret"
BODIES = [("azure", AZURE), ("bedrock", ACCESS_KEY), ("bedrock", SESSION), ("vertex", VERTEX), ("openai", WORKLOAD)]


def said_of(provider: str, members: dict[str, Any]) -> str:
    """What an error says; nothing where there is none."""
    try:
        read(provider, members)
    except (InvalidParameter, InvalidCredentialFormat) as error:
        return f"{error.message} {error.fix} {error.param} {error.details}"
    return ""


@given(st.data())
def test_no_error_repeats_what_a_member_holds(data: st.DataObject) -> None:
    """Whatever stands where: a secret pasted into the wrong member is not echoed."""
    provider, body = data.draw(st.sampled_from(BODIES))
    shapes = st.sampled_from([CANARY, f"{CANARY} x", {"a": CANARY}, [CANARY], f'{{"k": "{CANARY}"}}', f"'{CANARY}'"])
    names = st.sampled_from([*body, *wire_members(CATALOG.provider(provider)), "unknown", CANARY])
    changed = body | {data.draw(names): data.draw(shapes)}
    assert CANARY not in said_of(provider, changed)


@given(st.text(alphabet="abc-.:/#?@%\\ \n\x00AZ09_", max_size=40), st.sampled_from(["azure", "bedrock", "vertex"]))
def test_no_text_makes_another_host_of_a_vendors(text: str, provider: str) -> None:
    bodies = {
        "azure": AZURE | {"azure_endpoint": f"https://{text}.openai.azure.com"},
        "bedrock": ACCESS_KEY | {"aws_region": text},
        "vertex": {"vertex_service_account": SERVICE_ACCOUNT | {"project_id": text}, "vertex_location": "us-central1"},
    }
    try:
        given = read(provider, bodies[provider])
    except (InvalidParameter, InvalidCredentialFormat):
        return
    if given.destination is not None:
        host, _, path = given.destination.removeprefix("https://").partition("/")
        assert host.endswith((".openai.azure.com", ".amazonaws.com", "-aiplatform.googleapis.com"))
        assert not set("#?@%\\ \n\x00") & set(given.destination)
        assert path.count("/") in (0, 4)


class TestOnALocalStack:
    def test_a_vendors_addresses_are_found_under_the_override_host_and_all(self):
        catalog = Catalog.load({"bedrock": "http://127.0.0.1:9/bedrock/v1", "vertex": "http://127.0.0.1:9/vertex/v1"})
        bedrock = read_form(catalog.provider("bedrock"), ACCESS_KEY)
        assert bedrock.destination == "http://127.0.0.1:9/bedrock/v1/bedrock-runtime.us-east-1.amazonaws.com"
        url = catalog.provider("bedrock").validation_url(bedrock.destination, form=bedrock.form, public=bedrock.public)
        assert url == "http://127.0.0.1:9/bedrock/v1/bedrock.us-east-1.amazonaws.com/foundation-models"
        vertex = read_form(catalog.provider("vertex"), {**VERTEX, "vertex_location": "global"})
        assert vertex.destination.startswith("http://127.0.0.1:9/vertex/v1/aiplatform.googleapis.com/v1/projects/")
        assert vertex.form.token_url == "http://127.0.0.1:9/vertex/v1/oauth2.googleapis.com/token"

    def test_the_token_endpoint_can_be_moved_by_itself(self):
        override = {"base_url": "http://127.0.0.1:9/openai/v1", "token_url": "http://127.0.0.1:8/token"}
        provider = Catalog.load({"openai": override}).provider("openai")
        assert provider.form("workload_identity").token_url == "http://127.0.0.1:8/token"
        assert provider.form("key").token_url is None
        assert provider.validation_url(form=provider.form("workload_identity")) == "http://127.0.0.1:9/openai/v1/models"
