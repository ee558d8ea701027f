"""Secrets in text: which are found, in which forms, and what is left alone."""

from __future__ import annotations

import ast
import base64
import json
import random
import re
import string
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ownkey.domain.gateway_keys import mint
from ownkey.domain.scrub import MIN_RUN_BYTES, REPLACEMENT, Scrubber
from ownkey.domain.secrets import Secret, mask

# A key without a known head: only the net for live secrets can find it.
KEY = "Zq7/Xw2+Lm9=Bv4_Tn8-Kp3"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join("MIIEvQIBADANBgkqhkiG9w0B" + c * 40 for c in "aBc")
    + ("\n-----END PRIVATE KEY-----\n")
)


def registered(*secrets: str) -> Scrubber:
    scrubber = Scrubber()
    for secret in secrets:
        scrubber.register(secret)
    return scrubber


def leaks(secret: str, text: str) -> list[str]:
    """Runs of the secret that stand in the text, of the length from which they must not."""
    runs = {secret[at : at + MIN_RUN_BYTES] for at in range(len(secret) - MIN_RUN_BYTES + 1)}
    return sorted(run for run in runs if run in text)


def unbase64(text: str) -> str:
    """What the base64 in a text says, at whatever character it begins."""
    pieces = [piece[skip:] for piece in re.split(r"[^A-Za-z0-9+/]+", text.translate(URL_SAFE)) for skip in range(4)]
    whole = [piece[: len(piece) // 4 * 4] for piece in pieces]
    return "\n".join(base64.b64decode(piece).decode("utf-8", "replace") for piece in whole)


URL_SAFE = str.maketrans("-_", "+/")

FORMS = {
    "plain": (str, str),
    "in JSON": (lambda s: json.dumps({"key": s}), json.loads),
    "in JSON in JSON": (lambda s: json.dumps(json.dumps({"key": s})), lambda t: json.loads(json.loads(t))),
    "URL-encoded": (lambda s: f"?key={quote(s, safe='')}&x=1", unquote),
    "form-encoded": (lambda s: f"key={quote_plus(s)}&x=1", unquote_plus),
    "base64": (lambda s: base64.b64encode(s.encode()).decode(), unbase64),
    "base64 after a byte": (lambda s: base64.b64encode(b":" + s.encode() + b"!").decode(), unbase64),
    "base64 after two": (lambda s: base64.b64encode(b"u:" + s.encode() + b"!!").decode(), unbase64),
    "base64 for URLs": (lambda s: base64.urlsafe_b64encode(b'{"key":"' + s.encode() + b'"}').decode(), unbase64),
    "repr": (lambda s: repr([s]), ast.literal_eval),
    "head cut off": (lambda s: s[5:], str),
    "tail cut off": (lambda s: s[:-5], str),
}
"""How a secret may be written, and how what is left of it is read back."""


class TestLiveSecrets:
    @pytest.mark.parametrize("secret", [KEY, PEM, 'Qu0"ted\\back\nslash and é'], ids=["key", "private key", "escapes"])
    @pytest.mark.parametrize("form", list(FORMS))
    def test_no_run_of_it_survives_in_any_form(self, secret: str, form: str):
        write, read = FORMS[form]
        secret_part = secret.replace("-----BEGIN PRIVATE KEY-----", "")
        text = write(secret)
        assert leaks(secret_part, str(read(text)))
        assert leaks(secret_part, str(read(registered(secret).scrub(text)))) == []

    def test_every_run_of_eight_characters_is_found_wherever_it_stands(self):
        scrubber = registered(KEY)
        for at in range(len(KEY) - MIN_RUN_BYTES + 1):
            for shift in range(4):
                fragment = KEY[at : at + MIN_RUN_BYTES]
                assert scrubber.scrub("." * shift + f"<{fragment}>") == "." * shift + "<[scrubbed]>"

    def test_what_its_mask_shows_is_left(self):
        key = "sk-proj-4fJx0aQm7Lw2TbYc9VnZkE83"
        assert registered(key).scrub(f"credential {mask(key)} refused") == "credential sk-…kE83 refused"

    def test_the_account_inside_a_gateway_key_is_left(self):
        key = mint("acc_01jd4w6k0m5x8q2r7t9v3y1z6b")
        scrubber = registered(key.reveal())
        assert scrubber.scrub('{"account_id":"acc_01jd4w6k0m5x8q2r7t9v3y1z6b"}') == (
            '{"account_id":"acc_01jd4w6k0m5x8q2r7t9v3y1z6b"}'
        )
        assert scrubber.scrub(f"Bearer: {key.reveal()}.") == "Bearer: [scrubbed]."

    def test_public_heads_of_keys_are_left(self):
        scrubber = registered("sk-proj-4fJx0aQm7Lw2TbYc9VnZkE83", PEM)
        text = "expected sk-proj-… or -----BEGIN PRIVATE KEY-----"
        assert scrubber.scrub(text + " first").startswith("expected sk-proj-… or ")

    def test_secrets_that_share_a_head_are_all_found(self):
        keys = [f"sk-ant-api03-{c * 3}{KEY}" for c in "abc"]
        assert registered(*keys).scrub(" ".join(keys)) == "[scrubbed] [scrubbed] [scrubbed]"

    def test_short_secrets_are_not_taken_or_they_would_shred_the_text(self):
        assert registered("EMPTY", "none").scrub("EMPTY none") == "EMPTY none"

    def test_a_secret_object_is_as_good_as_its_text(self):
        scrubber = Scrubber()
        scrubber.register(Secret(KEY))
        assert scrubber.scrub(KEY) == "[scrubbed]"
        scrubber.unregister(Secret(KEY))
        assert scrubber.scrub(KEY) == KEY

    def test_unregistering_leaves_the_others(self):
        other = KEY[::-1]
        scrubber = registered(KEY, other)
        scrubber.unregister(KEY)
        scrubber.unregister("never registered")
        assert scrubber.scrub(f"{KEY} {other}") == f"{KEY} [scrubbed]"

    def test_memory_is_bounded_and_the_least_lately_registered_are_forgotten(self):
        draw = random.Random(7)
        keys = ["".join(draw.choices(string.ascii_letters + string.digits, k=40)) for _ in range(200)]
        scrubber = Scrubber(max_indexed_bytes=20_000)
        for key in keys:
            scrubber.register(key)
            scrubber.register(keys[0])  # in use all the time
        assert len(scrubber._index) <= 20_000
        assert scrubber.scrub(f"{keys[0]} {keys[-1]}") == "[scrubbed] [scrubbed]"
        assert scrubber.scrub(keys[1]) == keys[1]

    @example(secret="00000000", before="\x1f\x90", after="")
    @example(secret="nABCDEFG", before="\n", after="\\")
    @given(
        secret=st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=8, max_size=60),
        before=st.text(max_size=20),
        after=st.text(max_size=20),
    )
    def test_any_secret_in_any_json_is_cut_and_the_json_stays_one(self, secret: str, before: str, after: str):
        scrubber = registered(secret)
        for ascii_only in (True, False):
            text = json.dumps({"message": before + secret + after, "n": [1]}, ensure_ascii=ascii_only)
            read = json.loads(scrubber.scrub(text))
            assert read["n"] == [1]
            assert all(secret not in left for left in read["message"].split(REPLACEMENT))


class TestFormats:
    @pytest.mark.parametrize(
        "secret",
        [
            "sk-4fJx0aQm7Lw2TbYc9VnZkE83",
            "sk-proj-4fJx0aQm7Lw2TbYc9VnZkE83-_x",
            "sk-ant-api03-4fJx0aQm7Lw2TbYc9VnZkE83-AA",
            "sk-proj-********************************kE83",
            "sk-4fJx0***kE83",
            "gsk_4fJx0aQm7Lw2TbYc9VnZkE83",
            "xai-4fJx0aQm7Lw2TbYc9VnZkE83",
            "hf_4fJx0aQm7Lw2TbYc9VnZkE83",
            "AIzaSyD4fJx0aQm7Lw2TbYc9VnZkE83",
            "AQ.Ab8RN6L4fJx0aQm7Lw2TbYc9VnZkE83",
            "ya29.c.c0AY_VpZ4fJx0aQm7Lw2TbYc9",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIAIOSFODNN7EXAMPLE",
            "Bearer 4fJx0aQm7Lw2",
            "bearer   abc.def-123~+/=",
            "Basic dXNlcjpwYXNzd29yZDE=",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
            PEM.strip(),
            PEM.replace("PRIVATE", "RSA PRIVATE").strip(),
            pytest.param(mint("acc_01jd4w6k0m5x8q2r7t9v3y1z6b").reveal(), id="a gateway key"),
            pytest.param(mint("demo").reveal()[:20], id="a gateway key cut off"),
        ],
    )
    def test_a_known_format_is_found_though_nobody_registered_it(self, secret: str):
        scrubber = Scrubber()
        assert scrubber.scrub(f"got {secret} from") == "got [scrubbed] from"
        line = json.dumps({"m": f"first\n{secret}\n\tlast", "e": json.dumps([secret])})
        read = json.loads(scrubber.scrub(line))
        assert read["m"].split() == ["first", "[scrubbed]", "last"]
        assert json.loads(read["e"]) == ["[scrubbed]"]

    @pytest.mark.parametrize("length", [40, 60, 100, 200])
    def test_a_private_key_that_is_cut_off_is_found_up_to_the_cut(self, length: int):
        line = json.dumps({"message": "got " + PEM[:length], "n": 1})
        assert json.loads(Scrubber().scrub(line)) == {"message": "got [scrubbed]", "n": 1}

    @pytest.mark.parametrize(
        "text",
        [
            'api_key="{}"',
            "apiKey: {}",
            "x-api-key: {}",
            '{{"secret_access_key": "{}"}}',
            '{{\\"access_token\\": \\"{}\\"}}',
            "https://example.com/v1?key={}&alt=sse",
            "password={}",
            "Authorization: {}",
            "{{'client_secret': '{}'}}",
            "X-Amz-Signature={}",
        ],
    )
    def test_a_long_value_behind_a_telling_name_is_found(self, text: str):
        value = "4fJx0aQm7Lw2TbYc9VnZ"
        assert Scrubber().scrub(text.format(value)) == text.format("[scrubbed]")

    @pytest.mark.parametrize(
        "text",
        [
            '{"prompt_tokens":120,"completion_tokens":4000000000000000000}',
            '{"gateway_key":"gk_01jd4w6k0m5x8q2r7t9v3y1z6b","credential":"cred_01jd4w6k0m5x8q2r7t9v3y1z6b"}',
            '{"function_request_id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","model":"claude-sonnet-4-5-20250929"}',
            "Send an Ownkey gateway key as `Authorization: Bearer ok-…` or `x-api-key: ok-…`.",
            "a task-1234567890 or disk-abcdefghij, asked-for-something-long",
            "bearer authentication is required",
            "a basic misunderstanding",
            "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "",
            "é☃𝄞",
        ],
    )
    def test_what_is_no_secret_is_left(self, text: str):
        assert registered(KEY).scrub(text) == text

    @given(st.text(max_size=200))
    def test_scrubbing_twice_changes_nothing_more(self, text: str):
        scrubber = registered(KEY, PEM)
        once = scrubber.scrub(text + " Bearer abcdef123456 " + KEY)
        assert scrubber.scrub(once) == once
