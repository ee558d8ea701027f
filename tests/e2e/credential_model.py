"""What is to become of an account's OpenAI credentials, by the book: no clock, no network, no vault.

A request tries, in order: credentials for its gateway key alone before account-wide ones, by priority, by age; of two
versions first the one with the whole share. A version that is known not to work is passed over. The only thing the
model leaves open is when a mark of something that did not open has run out (a minute, by the clock of whoever asks).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

REJECTED, UNDECRYPTABLE = "rejected", "undecryptable"
_MAX_OPEN = 4


@dataclass
class Version:
    """A secret, and what is known of it."""

    number: int
    key: str
    kms: int | None
    """Which of the account's KMS keys it is wrapped under; None: the deployment's."""
    shredded: bool = False
    mark: str | None = None


@dataclass
class Credential:
    """One credential; `versions` are the current one and perhaps the one before it."""

    id: str
    versions: list[Version]
    scope: frozenset[str] | None = None
    priority: int = 0
    share: int = 0
    disabled: bool = False

    @property
    def current(self) -> Version:
        return self.versions[0]

    def rotate(self, key: str, kms: int | None, *, share: int | None = None) -> None:
        """A new secret, in place or (with a share) beside the current one."""
        kept = [] if share is None else [self.current]
        self.versions = [Version(self.current.number + 1, key, kms), *kept]
        self.share = share or 0

    def in_order(self) -> list[Version]:
        """As a request tries them; a share is all or nothing here."""
        return list(reversed(self.versions)) if self.share == 100 else list(self.versions)


@dataclass(frozen=True)
class Answer:
    """What a client gets, which keys the provider saw on the way, and what was learnt."""

    status: int
    code: str | None
    keys: tuple[str, ...]
    learnt: tuple[tuple[str, int, str], ...] = ()
    """(credential, version, mark) of each that failed."""


@dataclass
class Model:
    """The account, its KMS keys, and the provider's opinion of keys."""

    credentials: dict[str, Credential] = field(default_factory=dict)
    kms_enabled: list[bool] = field(default_factory=list)
    kms: int | None = None
    rewrap_due: bool = False
    refused_keys: set[str] = field(default_factory=set)

    # ── what holds

    def usable(self, kms: int | None) -> bool:
        return kms is None or self.kms_enabled[kms]

    def opens(self, version: Version) -> bool:
        return not version.shredded and self.usable(version.kms)

    def accepts(self, key: str) -> bool:
        return key not in self.refused_keys

    def verdict(self, version: Version) -> str:
        """Of a validation."""
        if not self.opens(version):
            return UNDECRYPTABLE
        return "accepted" if self.accepts(version.key) else REJECTED

    def saving(self, key: str) -> tuple[int, str | None]:
        """Status and code of an attempt to save a key."""
        if not self.usable(self.kms):
            return 400, "kms_key_unusable"
        return (200, None) if self.accepts(key) else (422, "credential_rejected")

    # ── what happens

    def mark(self, version: Version, found: str) -> None:
        """A refusal outlasts everything but an acceptance and a new version."""
        if found == "accepted":
            version.mark = None
        elif found == REJECTED or version.mark is None:
            version.mark = found

    def sweep(self) -> int:
        """Brings what can be moved under the account's KMS key; how many could not be."""
        stuck = 0
        for version in self.versions():
            if version.shredded or version.kms == self.kms:
                continue
            if self.usable(version.kms) and self.usable(self.kms):
                version.kms = self.kms
            else:
                stuck += 1
        self.rewrap_due = False
        return stuck

    def set_app_key(self, gateway_key: str, key: str | None, new_id: str | None) -> None:
        """`PATCH /api/auth` for one gateway key; `new_id` is the one that was made, if one was."""
        serving = [each for each in self.credentials.values() if gateway_key in (each.scope or ())]
        own = [each for each in serving if key is not None and each.scope == {gateway_key}]
        rotated = min(own, key=lambda each: (each.priority, each.id), default=None)
        for each in serving:
            if each is rotated:
                continue
            each.scope = (each.scope or frozenset()) - {gateway_key}
            if not each.scope:
                del self.credentials[each.id]
        if rotated is not None and key is not None:
            rotated.rotate(key, self.kms)
            rotated.disabled = False
        elif key is not None:
            assert new_id is not None
            scope = frozenset({gateway_key})
            self.credentials[new_id] = Credential(new_id, [Version(1, key, self.kms)], scope)

    # ── what a request gets

    def answers(self, gateway_key: str) -> Iterator[Answer]:
        """Every answer that would be right: more than one only where a mark may have run out."""
        open_ended = [v for v in self.versions() if v.mark == UNDECRYPTABLE and self.opens(v)][:_MAX_OPEN]
        for size in range(len(open_ended) + 1):
            for over in combinations(open_ended, size):
                yield self._answer(gateway_key, {id(each) for each in over})

    def _answer(self, gateway_key: str, over: set[int]) -> Answer:
        keys: list[str] = []
        learnt: list[tuple[str, int, str]] = []
        known: set[str] = set()
        for credential in self._candidates(gateway_key):
            for version in credential.in_order():
                if version.mark is not None and id(version) not in over:
                    known.add(version.mark)
                elif not self.opens(version):
                    learnt.append((credential.id, version.number, UNDECRYPTABLE))
                else:
                    keys.append(version.key)
                    if self.accepts(version.key):
                        return Answer(200, None, tuple(keys), tuple(learnt))
                    learnt.append((credential.id, version.number, REJECTED))
        failures = known | {mark for _, _, mark in learnt}
        if not failures:
            return Answer(404, "no_byok_key", ())
        if failures == {UNDECRYPTABLE}:
            return Answer(500, "credential_undecryptable", tuple(keys), tuple(learnt))
        return Answer(502, "upstream_credentials_exhausted", tuple(keys), tuple(learnt))

    def _candidates(self, gateway_key: str) -> list[Credential]:
        serving = [
            each
            for each in self.credentials.values()
            if not each.disabled and (each.scope is None or gateway_key in each.scope)
        ]
        return sorted(serving, key=lambda each: (each.scope is None, each.priority, each.id))

    def learn(self, answer: Answer) -> None:
        """What a request found out is known to all from then on."""
        for credential_id, number, mark in answer.learnt:
            (version,) = (each for each in self.credentials[credential_id].versions if each.number == number)
            # An answer says so only where the former mark, if any, had run out.
            version.mark = mark
        served = answer.keys[-1:] if answer.status == 200 else ()
        for version in self.versions():
            if version.key in served:
                version.mark = None

    def versions(self) -> list[Version]:
        return [version for each in self.credentials.values() for version in each.versions]

    # ── what a card says

    def cards(self) -> dict[str, tuple[dict[int, tuple[int, set[str]]], frozenset[str] | None, int, bool]]:
        """Credential → (version → (share, statuses that are right), scope, priority, disabled)."""
        return {
            each.id: (
                {
                    version.number: (
                        each.share if version is not each.current else 100 - each.share,
                        self._statuses(each, version),
                    )
                    for version in each.versions
                },
                each.scope,
                each.priority,
                each.disabled,
            )
            for each in self.credentials.values()
        }

    def _statuses(self, credential: Credential, version: Version) -> set[str]:
        if version.shredded:
            return {UNDECRYPTABLE}
        if credential.disabled:
            return {"disabled"}
        if version.mark == UNDECRYPTABLE:
            return {UNDECRYPTABLE, "active"}
        return {version.mark or "active"}
