r"""Removes secrets from text: the last line of defence before a log line, a response or an error.

Two nets, because neither alone is tight:

1. **Live secrets.** Whoever opens a secret registers it. Every run of 8 or more of its bytes is then cut out, but
   for a public head such as `sk-proj-`: plain, JSON-escaped once or twice, URL-encoded, or inside base64 at any
   alignment. What is left of a secret that was cut off somewhere is a run too.
2. **Patterns** of well-known formats, for secrets nobody registered: provider and gateway keys, bearer tokens, AWS
   keys, private keys, and long values behind names such as `api_key`.

How the first net stays cheap: each form of each secret is indexed by its 4-byte words at every offset. A text is read
as consecutive 4-byte words, of which any run of 7 bytes covers one in full, so one set operation in C decides that a
line is clean, however many secrets are live. Only a line that shares a word is looked at byte by byte.

The cuts never split a JSON escape: a JSON text stays one (a secret that has quotes in it may match its punctuation).
"""

from __future__ import annotations

import re
from base64 import b64encode
from json import dumps
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from ownkey.domain.secrets import Secret

REPLACEMENT = "[scrubbed]"
MIN_RUN_BYTES = 8
"""Shorter runs are left alone: masks show up to 4 + 4 characters of a key. Shorter secrets are not taken."""

_MIN_SECRET_PART_BYTES = 4
_MIN_TAIL_BYTES = 16
"""What must follow a public head; or else what looks like one is half of the secret."""
_WORD_BYTES = 4
_MAX_INDEXED_BYTES = 131_072
"""Of all forms together, about 100 bytes of memory each: some 400 provider keys, or 8 RSA private keys."""

_PUBLIC_HEAD = re.compile(
    rb"ok-[A-Za-z0-9_-]{1,48}-(?=[A-Za-z0-9]{49}$)"  # a gateway key's account id is in every log line
    rb"|-----BEGIN [A-Z0-9 ]+-----"
    rb"|(?:[a-z]{2,6}[0-9]?[-_])(?:[a-z]{2,8}[0-9]{0,2}[-_]){0,2}"  # sk-, sk-proj-, sk-ant-api03-, gsk_
)


class _Form(NamedTuple):
    """One way a live secret may be written; its first `public_bytes` say nothing about it."""

    data: bytes
    public_bytes: int


class Scrubber:
    """Live secrets and the scrubbing of text. One for each process: the functions below use it.

    Args:
        max_indexed_bytes: Bound of the index; past it the secrets not registered for longest are forgotten.
    """

    def __init__(self, max_indexed_bytes: int = _MAX_INDEXED_BYTES) -> None:
        self._max_indexed_bytes = max_indexed_bytes
        self._live: dict[str, list[_Form]] = {}
        self._index: dict[int, list[_Form]] = {}
        self._indexed_bytes = 0

    def register(self, secret: Secret | str) -> None:
        """Cuts the secret out of every text from now on; again: keeps it from being forgotten.

        Of a structured secret register the secret fields one by one: the whole JSON would cut its public words too.
        """
        text = secret if isinstance(secret, str) else secret.reveal()
        if len(text.encode()) < MIN_RUN_BYTES:
            return
        known = self._live.pop(text, None)
        forms = known or _forms(text)
        self._live[text] = forms  # a dict keeps its order: the newest stands last
        if known is None:
            self._add(forms)
            if self._indexed_bytes > self._max_indexed_bytes:
                self._forget_older_half()

    def unregister(self, secret: Secret | str) -> None:
        """Forgets the secret; one that is not registered is no error."""
        if self._live.pop(secret if isinstance(secret, str) else secret.reveal(), None) is not None:
            self._rebuild()

    def scrub(self, text: str) -> str:
        """The text with every secret replaced by `[scrubbed]`. Scrubbing twice changes nothing more."""
        raw = text.encode("utf-8", "surrogatepass")
        if self._index and not self._index.keys().isdisjoint(_words(raw)):
            text = self._cut_live(raw).decode("utf-8", "replace")
        lowered = text.lower()
        for anchor, pattern in _FORMATS:
            if anchor in lowered:
                text = pattern.sub(REPLACEMENT, text)
        if _NAME_HINT.search(lowered):
            text = _NAMED_VALUE.sub(rf"\1{REPLACEMENT}", text)
        return text

    def _cut_live(self, raw: bytes) -> bytes:
        parts: list[bytes] = []
        done = 0
        for number, word in enumerate(_words(raw)):
            at = number * _WORD_BYTES
            forms = self._index.get(word)
            if forms is None or at < done:
                continue
            start, stop = _whole_escapes(raw, *max((_run(raw, at, form) for form in forms), key=_length))
            if start < stop:
                parts += raw[done : max(start, done)], REPLACEMENT.encode()
                done = stop
        return b"".join([*parts, raw[done:]])

    def _add(self, forms: list[_Form]) -> None:
        for form in forms:
            self._indexed_bytes += len(form.data)
            # Words that lie in the public head alone are in no run that gives something away.
            first = max(0, form.public_bytes - _WORD_BYTES + 1)
            for offset in range(first, first + _WORD_BYTES):
                for word in _words(form.data[offset:]):
                    self._index.setdefault(word, []).append(form)

    def _forget_older_half(self) -> None:
        while self._indexed_bytes > self._max_indexed_bytes // 2 and len(self._live) > 1:
            oldest = next(iter(self._live))
            self._indexed_bytes -= sum(len(form.data) for form in self._live.pop(oldest))
        self._rebuild()

    def _rebuild(self) -> None:
        self._index, self._indexed_bytes = {}, 0
        for forms in self._live.values():
            self._add(forms)


def _words(raw: bytes) -> memoryview[int]:
    return memoryview(raw[: len(raw) & -_WORD_BYTES]).cast("I")


def _forms(secret: str) -> list[_Form]:
    """The distinct ways the secret is written in JSON, in URLs and in base64."""
    escaped = dumps(secret)[1:-1]
    texts = (
        secret,
        escaped,
        dumps(secret, ensure_ascii=False)[1:-1],
        dumps(escaped)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    )
    plain = dict.fromkeys(text.encode("utf-8", "surrogatepass") for text in texts)
    encoded = dict.fromkeys(form for shift in range(3) for form in _inside_base64(next(iter(plain)), shift))
    return [*(_Form(data, _public_bytes(data)) for data in plain), *(_Form(data, 0) for data in encoded)]


def _public_bytes(data: bytes) -> int:
    head = _PUBLIC_HEAD.match(data)
    return head.end() if head and len(data) - head.end() >= _MIN_TAIL_BYTES else 0


def _inside_base64(raw: bytes, shift: int) -> tuple[bytes, bytes]:
    """The base64 characters that `raw` alone decides when `shift` (mod 3) bytes stand before it; both alphabets."""
    text = b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
    return text, text.translate(bytes.maketrans(b"+/", b"-_"))


def _run(raw: bytes, at: int, form: _Form) -> tuple[int, int]:
    """The longest run of the form around the word at `raw[at]`, as [start, stop); empty where it gives nothing away."""
    best = (at, at)
    data = form.data
    found = data.find(raw[at : at + _WORD_BYTES])
    while found >= 0:
        before = _common(raw[:at][::-1], data[:found][::-1])
        after = _common(raw[at:], data[found:])
        secret_part = found + after - max(found - before, form.public_bytes)
        if secret_part >= _MIN_SECRET_PART_BYTES and before + after >= MIN_RUN_BYTES:
            best = max(best, (at - before, at + after), key=_length)
        found = data.find(raw[at : at + _WORD_BYTES], found + 1)
    return best


def _length(run: tuple[int, int]) -> int:
    return run[1] - run[0]


def _common(a: bytes, b: bytes) -> int:
    """How many first bytes the two share."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _whole_escapes(raw: bytes, start: int, stop: int) -> tuple[int, int]:
    """The run without the JSON escapes that reach over its edges."""
    _, after = _escape_over(raw, start)
    before, _ = _escape_over(raw, stop)
    return after, before


def _escape_over(raw: bytes, at: int) -> tuple[int, int]:
    r"""Where the JSON escape (`\n`, `\u00e9`) that has `at` inside it begins and ends; `at` twice if none has."""
    for begin in range(max(0, at - 5), at):
        backslashes = begin + 1 - len(raw[: begin + 1].rstrip(b"\\"))
        end = begin + (6 if raw[begin + 1 : begin + 2] == b"u" else 2)
        if backslashes % 2 and end > at:
            return begin, end
    return at, at


# A word begins: after anything but a letter or digit, or after an escape such as the \n of a JSON text.
_BEGIN = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf]))"
_KEY_HEADS = ("sk-", "gsk_", "csk-", "xai-", "pplx-", "hf_", "r8_", "nvapi-", "fw_", "tgp_v1_")
_KEY_BODY = r"(?:[A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]*\*{2,}[A-Za-z0-9_*-]*)"  # whole, or starred out by a provider
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,]|\\+[nr]|-(?!----))*"
    r"(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?"
)
_SCHEME_VALUE = r"(?:\s+|%20|\\[nt])(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{8,}"

_FORMATS = (
    *((head, re.compile(_BEGIN + re.escape(head) + _KEY_BODY)) for head in _KEY_HEADS),
    ("ok-", re.compile(_BEGIN + r"ok-[A-Za-z0-9_-]{1,48}-[A-Za-z0-9]{8,}")),
    ("aiza", re.compile(r"AIza[A-Za-z0-9_-]{16,}")),
    ("aq.", re.compile(_BEGIN + r"AQ\.[A-Za-z0-9_.-]{20,}")),
    ("ya29.", re.compile(_BEGIN + r"ya29\.[A-Za-z0-9_.-]{16,}")),
    ("akia", re.compile(r"AKIA[A-Z0-9]{12,}")),
    ("asia", re.compile(r"ASIA[A-Z0-9]{12,}")),
    ("eyj", re.compile(r"eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")),
    ("private key-----", re.compile(_PRIVATE_KEY)),
    ("bearer", re.compile(rf"{_BEGIN}bearer{_SCHEME_VALUE}", re.IGNORECASE)),
    ("basic", re.compile(rf"{_BEGIN}basic{_SCHEME_VALUE}", re.IGNORECASE)),
)
"""(lower-case text without which the pattern need not be tried, pattern): `in` costs a fraction of a search."""

_NAME_HINT = re.compile(r"(?:key|secret|token|passw(?:or)?d|authorization|signature)[\"'\\:=]")
_NAMED_VALUE = re.compile(
    r"((?:(?:api|access|secret|private|subscription)[_-]?key|[?&]key"
    r"|secret|token|passw(?:or)?d|authorization|signature)[\"'\\]{0,8}\s{0,2}[:=]\s{0,2}[\"'\\]{0,8})"
    r"[A-Za-z0-9+/_=.~%-]{16,}",
    re.IGNORECASE,
)

_process = Scrubber()
register = _process.register
unregister = _process.unregister
scrub = _process.scrub
