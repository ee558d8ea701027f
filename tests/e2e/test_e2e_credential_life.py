"""The life of credentials on the running stack, in any order of events: a model says which key the provider sees.

hypothesis saves, rotates, shares, retires, disables, scopes, removes, shreds, changes KMS keys and switches them off
and on, has the provider change its mind, validates, re-wraps and asks; after each step every card, and for each request
the keys that reached the provider and the answer, are as `credential_model` says.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.simulator.behaviour import digest_of
from tests.e2e.accounts import CHAT_MODEL, Account, Json, new_provider_key, said
from tests.e2e.credential_model import REJECTED, UNDECRYPTABLE, Answer, Credential, Model, Version
from tests.e2e.world import World
from tests.support.aws import boto

MAX_CREDENTIALS = 4
"""Two versions of each are as many as a request tries."""
MAX_SWITCHES = 2
"""Of KMS keys in one life: after each, functions start afresh."""
APPS = ("app", "other")

picks = st.integers(0, 10**6)
scopes = st.sampled_from([None, ("app",), ("other",), APPS])
goods = st.sampled_from([True, True, True, False])
"""Whether the provider takes a key that is pasted."""


class CredentialLife(RuleBasedStateMachine):
    """One account, with two gateway keys and two KMS keys of its own."""

    world: World

    @initialize(kms=st.sampled_from([None, 0]), scope=scopes)
    def begin(self, kms: int | None, scope: tuple[str, ...] | None) -> None:
        self.account: Account = self.world.account(platform_allowed=False)
        other = self.account.owner.ok("POST", "/api/gateway-keys", {"alias": "other"})
        own = self.account.gateway_key_id, self.account.gateway_key
        self.gateway_keys = {"app": own, "other": (other["id"], other["key"])}
        self.kms = boto("kms", self.world.up.state.aws_endpoint)
        self.arns = [self.kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
        self.model = Model(kms_enabled=[True, True])
        self.switches = self.moments = 0
        self.choose_kms_key(kms)
        self.save(scope=None, priority=1, good=True)
        self.save(scope=scope, priority=0, good=True)

    # ── saving

    @precondition(lambda self: len(self.model.credentials) < MAX_CREDENTIALS)
    @rule(scope=scopes, priority=st.integers(0, 1), good=goods)
    def save(self, scope: tuple[str, ...] | None, priority: int, good: bool) -> None:
        key = self.new_key(good)
        body = {"provider": "OpenAI", "key": key, "priority": priority, "gateway_keys": self.ids(scope)}
        saved = self.saving("POST", "/api/byok", body, key)
        if saved is not None:
            version = Version(1, key, self.model.kms)
            named = None if scope is None else frozenset(scope)
            self.model.credentials[saved["id"]] = Credential(saved["id"], [version], named, priority)

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks, good=goods, share=st.sampled_from([None, 0, 100]))
    def rotate(self, pick: int, good: bool, share: int | None) -> None:
        credential, key = self.one(pick), self.new_key(good)
        kept = {} if share is None else {"keep_previous": True, "share_percent": share}
        if self.saving("POST", f"/api/byok/{credential.id}/rotate", {"key": key, **kept}, key) is not None:
            credential.rotate(key, self.model.kms, share=share)

    @precondition(lambda self: len(self.model.credentials) < MAX_CREDENTIALS)
    @rule(app=st.sampled_from(APPS), good=goods)
    def set_app_key(self, app: str, good: bool) -> None:
        key = self.new_key(good)
        path = f"/api/auth?keyId={self.gateway_keys[app][0]}"
        before = set(self.model.credentials)
        if self.saving("PATCH", path, {"providerKeys": {"OpenAI": key}}, key) is not None:
            made = {each["id"] for each in self.cards()} - before
            self.model.set_app_key(app, key, next(iter(made), None))

    # ── changing

    @precondition(lambda self: any(len(each.versions) == 2 for each in self.model.credentials.values()))
    @rule(pick=picks, share=st.sampled_from([0, 100]))
    def share(self, pick: int, share: int) -> None:
        credential = self.one(pick, rotating=True)
        self.account.owner.ok("PATCH", f"/api/byok/{credential.id}", {"previous_share_percent": share})
        credential.share = share

    @precondition(lambda self: any(len(each.versions) == 2 for each in self.model.credentials.values()))
    @rule(pick=picks)
    def retire(self, pick: int) -> None:
        credential = self.one(pick, rotating=True)
        self.account.owner.ok("POST", f"/api/byok/{credential.id}/retire")
        credential.versions, credential.share = credential.versions[:1], 0

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks, scope=scopes, disabled=st.booleans(), priority=st.integers(0, 1))
    def change(self, pick: int, scope: tuple[str, ...] | None, disabled: bool, priority: int) -> None:
        credential = self.one(pick)
        body = {"gateway_keys": self.ids(scope), "disabled": disabled, "priority": priority}
        self.account.owner.ok("PATCH", f"/api/byok/{credential.id}", body)
        credential.scope = None if scope is None else frozenset(scope)
        credential.disabled, credential.priority = disabled, priority

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        credential = self.one(pick)
        self.account.owner.ok("DELETE", f"/api/byok/{credential.id}")
        del self.model.credentials[credential.id]

    @rule(app=st.sampled_from(APPS))
    def clear_app_keys(self, app: str) -> None:
        path = f"/api/auth?keyId={self.gateway_keys[app][0]}"
        self.account.owner.ok("PATCH", path, {"providerKeys": None})
        self.model.set_app_key(app, None, None)

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks)
    def shred(self, pick: int) -> None:
        credential = self.one(pick)
        self.account.owner.ok("POST", f"/api/byok/{credential.id}/shred", {"confirm": credential.id})
        for version in credential.versions:
            version.shredded = True

    # ── KMS

    @rule(which=st.sampled_from([None, 0, 1]))
    def choose_kms_key(self, which: int | None) -> None:
        path = f"/api/accounts/{self.account.id}/kms-key"
        body = {"kms_key_arn": None if which is None else self.arns[which]}
        if self.model.usable(which):
            self.account.owner.ok("PUT", path, body)
            self.model.kms, self.model.rewrap_due = which, True
        else:
            status, error = self.account.owner.refused("PUT", path, body)
            assert (status, error["code"]) == (400, "kms_key_unusable")

    @precondition(lambda self: self.switches < MAX_SWITCHES)
    @rule(which=st.sampled_from(["its own", 0, 1]))
    def switch_kms_key(self, which: int | str) -> None:
        which = which if isinstance(which, int) else self.model.kms or 0
        self.switches += 1
        on = self.model.kms_enabled[which] = not self.model.kms_enabled[which]
        (self.kms.enable_key if on else self.kms.disable_key)(KeyId=self.arns[which])
        if not on:
            self.world.cool_down()

    @precondition(lambda self: self.model.rewrap_due)
    @rule()
    def sweep(self) -> None:
        self.world.upkeep("sweep")
        stuck = self.model.sweep()
        job = self.account.owner.ok("GET", f"/api/accounts/{self.account.id}/kms-key")["rewrap"]
        assert (job["state"], job["failed"]) == ("failed" if stuck else "done", stuck)
        expected = {
            f"CRED#{each.id}#V#{version.number:08}": version.kms
            for each in self.model.credentials.values()
            for version in each.versions
            if not version.shredded
        }
        assert self.wrapped_under() == expected

    # ── the provider, and asking it

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks)
    def change_of_mind(self, pick: int) -> None:
        """A key is revoked, or good again."""
        versions = self.model.versions()
        key = versions[pick % len(versions)].key
        self.world.set_key("openai", key, accepted=key in self.model.refused_keys)
        self.model.refused_keys ^= {key}

    @precondition(lambda self: self.model.credentials)
    @rule(pick=picks)
    def validate(self, pick: int) -> None:
        credential = self.one(pick)
        found = self.account.owner.ok("POST", f"/api/byok/{credential.id}/validate")
        assert found["verdict"] == self.model.verdict(credential.current)
        self.model.mark(credential.current, found["verdict"])

    @rule()
    def revalidate(self) -> None:
        """The scheduled check asks about all that are known not to work.

        No precondition: marks come and go by the clock, and what hypothesis draws next must not.
        """
        if not any(each.mark for each in self.model.versions()) or self.hidden_refusals():
            return
        self.world.upkeep("revalidate")
        for credential in self.model.credentials.values():
            for version in credential.versions:
                if version.mark and not credential.disabled and not version.shredded:
                    self.model.mark(version, self.model.verdict(version))

    @invariant()
    def every_request_is_answered_right(self) -> None:
        """One after each event, by the two apps in turn."""
        if hasattr(self, "model"):
            self.moments += 1
            self.ask(APPS[self.moments % 2])

    def ask(self, app: str) -> None:
        journal = self.world.up.simulator.journal
        last = max((each.id for each in self.world.call(journal.entries, "openai")), default=0)
        body = {"model": CHAT_MODEL, "messages": said("hello")}
        answer = self.account.post(
            "/v1/chat/completions", body, headers={"authorization": f"Bearer {self.gateway_keys[app][1]}"}
        )
        # What a request learns is written when its client has the answer already.
        self.world.drain()
        seen = [each.key_sha256 for each in self.world.call(journal.entries, "openai", last) if each.method == "POST"]
        code = None if answer.is_success else answer.json()["error"]["code"]
        right = list(self.model.answers(app))
        fitting = [each for each in right if shown(each) == (answer.status_code, code, tuple(seen))]
        assert fitting, f"{answer.status_code} {code} after {len(seen)} calls; right would be {right}: {answer.text}"
        self.model.learn(fitting[0])

    # ── what is seen

    @invariant()
    def every_card_is_right(self) -> None:
        if not hasattr(self, "model"):
            return
        cards = {each["id"]: each for each in self.cards()}
        model = self.model.cards()
        assert cards.keys() == model.keys()
        names = {key_id: name for name, (key_id, _) in self.gateway_keys.items()}
        for credential_id, (versions, scope, priority, disabled) in model.items():
            card = cards[credential_id]
            assert [each["version"] for each in card["versions"]] == list(versions)
            for each in card["versions"]:
                share, statuses = versions[each["version"]]
                assert (each["share_percent"], each["status"] in statuses) == (share, True), (each, statuses)
            shown_scope = card["gateway_keys"] and frozenset(names[each] for each in card["gateway_keys"])
            assert (shown_scope, card["priority"], card["disabled"]) == (scope, priority, disabled)

    # ── helpers

    def cards(self) -> list[Json]:
        return self.account.owner.ok("GET", "/api/byok")["data"]

    def wrapped_under(self) -> dict[str, int | None]:
        """Where each secret stands that is not shredded → the account's KMS key that wraps it, or the deployment's."""
        rows = boto("dynamodb", self.world.up.state.aws_endpoint).query(
            TableName=self.world.up.stack.resources["RegistryTable"],
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": f"ACCT#{self.account.id}"}, ":prefix": {"S": "CRED#"}},
        )["Items"]
        vault_key = self.world.up.stack.deployment.functions["UpkeepFunction"].environment["VAULT_KEY_ID"]
        number = {vault_key: None, **{arn: n for n, arn in enumerate(self.arns)}}
        return {row["sk"]["S"]: number[row["kms_key_id"]["S"]] for row in rows if row.get("wrapped_key", {}).get("B")}

    def one(self, pick: int, *, rotating: bool = False) -> Credential:
        among = [each for each in self.model.credentials.values() if not rotating or len(each.versions) == 2]
        return among[pick % len(among)]

    def ids(self, scope: tuple[str, ...] | None) -> list[str] | None:
        return None if scope is None else [self.gateway_keys[each][0] for each in scope]

    def new_key(self, good: bool) -> str:
        key = new_provider_key()
        if not good:
            self.world.set_key("openai", key, accepted=False)
            self.model.refused_keys.add(key)
        return key

    def saving(self, method: str, path: str, body: Any, key: str) -> Json | None:
        """The answer where the key may be saved; where not, the refusal has to be the right one."""
        status, code = self.model.saving(key)
        if status == 200:
            return self.account.owner.ok(method, path, body)
        refused, error = self.account.owner.refused(method, path, body)
        assert (refused, error["code"]) == (status, code)
        return None

    def hidden_refusals(self) -> bool:
        """Whether a version before the current one would be found wanting, were it its turn: that is by the clock."""
        before = [version for each in self.model.credentials.values() for version in each.versions[1:]]
        return any(not each.mark and self.model.verdict(each) in (REJECTED, UNDECRYPTABLE) for each in before)


def shown(answer: Answer) -> tuple[int, str | None, tuple[str, ...]]:
    return answer.status, answer.code, tuple(map(digest_of, answer.keys))


def live(world: World, *, lives: int, steps: int, start: int) -> None:
    """So many lives; the same for the same `start`."""
    machine = seed(start)(type("Life", (CredentialLife,), {"world": world}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Nothing is shrunk: a life goes on in a stack that remembers, and each try would take as long as a life.
            phases=(Phase.generate,),
            print_blob=True,
        ),
    )


@pytest.mark.timeout(600)
def test_the_model_never_disagrees(world: World) -> None:
    live(world, lives=4, steps=25, start=0)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_hundred_lives(record_property, world: World) -> None:
    """Credentials' whole life on the running stack: every card, answer and key that a provider sees is as modelled."""
    live(world, lives=100, steps=30, start=1)
    record_property("lives", 100)
    record_property("steps of each, at most", 30)
