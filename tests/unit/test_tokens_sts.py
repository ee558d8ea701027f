"""STS's refusals as designed errors: whose fault, and what to do; and what the wire looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from ownkey.domain.errors import CredentialsExhausted, StoreUnavailable
from ownkey.store.aws import AwsClient, AwsError
from ownkey.store.sts import Sts

ARN = "arn:aws:iam::444455556666:role/ownkey-bedrock-inference"
# The shape of STS's answers as botocore's model of `sts` has them (2011-06-15).
TOKEN = """<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetWebIdentityTokenResult>
    <WebIdentityToken>eyJ.eyJ.sig</WebIdentityToken>
    <Expiration>2026-11-21T13:15:00Z</Expiration>
  </GetWebIdentityTokenResult>
  <ResponseMetadata><RequestId>0a1b</RequestId></ResponseMetadata>
</GetWebIdentityTokenResponse>"""
KEYS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
  <AssumedRoleUser><AssumedRoleId>AROA:ownkey-acc_1</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>
  </AssumedRoleUser>
  <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>sec/ret+&amp;</SecretAccessKey>
    <SessionToken>ses==</SessionToken><Expiration>2026-11-21T14:00:00Z</Expiration></Credentials>
</AssumeRoleResult><ResponseMetadata><RequestId>0a1b</RequestId></ResponseMetadata></AssumeRoleResponse>"""


def refusal(code: str) -> str:
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>User: arn:aws:sts::111122223333:assumed-role/x is not authorized</Message>"
        "</Error><RequestId>0a1b</RequestId></ErrorResponse>"
    )


class Wire:
    """STS on loopback, as far as its wire goes: `answer` says what each request gets."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer: Callable[[Mapping[str, str]], tuple[int, str]] = lambda _: (200, TOKEN)

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
        assert "/eu-west-1/sts/aws4_request" in request.headers["Authorization"]
        self.asked.append(dict(parse_qsl(await request.text())))
        status, body = self.answer(self.asked[-1])
        return web.Response(status=status, text=body, content_type="text/xml")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def aws(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwsClient]:
    monkeypatch.setattr("ownkey.store.aws._FIRST_BACKOFF_S", 0.0)
    app = web.Application()
    app.router.add_post("/", wire.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = AwsClient("eu-west-1", {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    yield client
    await client.close()
    await runner.cleanup()


@pytest.fixture
def sts(aws: AwsClient) -> Sts:
    return Sts(aws)


async def test_an_identity_token_is_asked_for_by_the_query_protocol(sts: Sts, wire: Wire) -> None:
    token = await sts.web_identity_token("https://api.example.com", {"ownkey_account": "acc_1"})
    assert token.reveal() == "eyJ.eyJ.sig"
    assert wire.asked == [
        {
            "Action": "GetWebIdentityToken",
            "Version": "2011-06-15",
            "Audience.member.1": "https://api.example.com",
            "SigningAlgorithm": "RS256",
            "DurationSeconds": "900",
            "Tags.member.1.Key": "ownkey_account",
            "Tags.member.1.Value": "acc_1",
        }
    ]


async def test_a_role_is_assumed_by_the_query_protocol(sts: Sts, wire: Wire) -> None:
    wire.answer = lambda _: (200, KEYS)
    keys = await sts.assume_role(ARN, "ownkey:acc_1", "ownkey-acc_1")
    assert (keys.access_key_id.reveal(), keys.session_token.reveal()) == ("ASIAEXAMPLE", "ses==")
    assert keys.secret_access_key.reveal() == "sec/ret+&"
    assert keys.expires_at_s == 1_795_269_600
    assert "sec/ret" not in repr(keys)
    (asked,) = wire.asked
    assert asked == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": ARN,
        "RoleSessionName": "ownkey-acc_1",
        "ExternalId": "ownkey:acc_1",
        "DurationSeconds": "3600",
    }


async def test_a_session_that_ends_soon_gets_a_short_token(sts: Sts, wire: Wire) -> None:
    def answer(asked: Mapping[str, str]) -> tuple[int, str]:
        return (
            (403, refusal("SessionDurationEscalationException")) if asked["DurationSeconds"] != "60" else (200, TOKEN)
        )

    wire.answer = answer
    await sts.web_identity_token("https://api.example.com", {})
    assert [each["DurationSeconds"] for each in wire.asked] == ["900", "60"]


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("OutboundWebIdentityFederationDisabledException", "outbound web identity federation"),
        ("AccessDenied", "KeylessCredentials=true"),
        ("SessionDurationEscalationException", "KeylessCredentials=true"),
    ],
)
async def test_a_refused_identity_says_what_the_operator_has_to_do(sts: Sts, wire: Wire, code: str, fix: str) -> None:
    wire.answer = lambda _: (403, refusal(code))
    with pytest.raises(CredentialsExhausted) as caught:
        await sts.web_identity_token("https://api.example.com", {})
    assert code in caught.value.message
    assert fix in caught.value.fix
    assert "111122223333" not in caught.value.message


async def test_a_role_that_does_not_trust_the_function_says_what_its_owner_has_to_do(sts: Sts, wire: Wire) -> None:
    wire.answer = lambda _: (403, refusal("AccessDenied"))
    with pytest.raises(CredentialsExhausted) as caught:
        await sts.assume_role(ARN, "ownkey:acc_1", "ownkey-acc_1")
    assert "trust policy" in caught.value.fix
    assert "BedrockRoleArns" in caught.value.fix


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
async def test_a_function_that_sts_does_not_know_is_not_the_credentials_fault(sts: Sts, wire: Wire, code: str) -> None:
    wire.answer = lambda _: (403, refusal(code))
    with pytest.raises(StoreUnavailable):
        await sts.web_identity_token("https://api.example.com", {})


@pytest.mark.parametrize(
    "failing", [(500, refusal("InternalFailure")), (400, refusal("Throttling")), (200, "<html>no XML"), (503, "")]
)
async def test_what_passes_is_tried_again(sts: Sts, wire: Wire, failing: tuple[int, str]) -> None:
    answers = [failing, failing, (200, TOKEN)]
    wire.answer = lambda _: answers.pop(0)
    assert (await sts.web_identity_token("https://api.example.com", {})).reveal() == "eyJ.eyJ.sig"
    assert len(wire.asked) == 3


async def test_what_does_not_pass_is_no_answer(sts: Sts, wire: Wire) -> None:
    wire.answer = lambda _: (503, refusal("ServiceUnavailable"))
    with pytest.raises(StoreUnavailable):
        await sts.assume_role(ARN, "x", "ownkey-acc_1")


async def test_a_refusal_keeps_its_code(aws: AwsClient, wire: Wire) -> None:
    wire.answer = lambda _: (400, refusal("ValidationError"))
    with pytest.raises(AwsError) as caught:
        await aws.call_query("sts", "2011-06-15", "GetCallerIdentity", {})
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
