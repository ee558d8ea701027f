"""What `PATCH /api/auth` decides for one provider, over any credentials that may stand there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.credentials import Credential
from ownkey.domain.secrets import Secret
from ownkey.http.management.provider_keys import detached, slot
from ownkey.registry import DeleteCredential

LATER = "2026-11-21T09:00:00.000000Z"
KEYS = ("gk_a", "gk_b", "gk_c")
scopes = st.none() | st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def pools(draw: st.DrawFn) -> list[Credential]:
    size = draw(st.integers(0, 6))
    return [
        Credential(
            id=f"cred_{number}",
            account_id="acme",
            provider_id=draw(st.sampled_from(("openai", "anthropic"))),
            alias=f"no {number}",
            mask="…",
            version=1,
            destination="https://api.example/v1",
            created_at="2026-11-21T08:00:00.000000Z",
            updated_at="2026-11-21T08:00:00.000000Z",
            priority=draw(st.integers(0, 2)),
            gateway_keys=draw(scopes),
        )
        for number in range(size)
    ]


def after(pool: list[Credential], key_id: str, secret: Secret | None) -> tuple[dict[str, Credential], str | None]:
    """The pool as it stands afterwards, and the id of the credential that is to be rotated."""
    decided = slot(pool, key_id, "openai", secret)
    standing = {each.id: each for each in pool}
    for each in decided.detach:
        change = detached(each, key_id, now=LATER)
        if isinstance(change, DeleteCredential):
            del standing[each.id]
        else:
            standing[each.id] = change.credential
    return standing, decided.rotate.id if decided.rotate else None


@settings(max_examples=300, deadline=None)
@given(pools(), st.sampled_from(KEYS), st.booleans())
def test_nothing_else_is_touched_and_nothing_is_ever_widened(pool: list[Credential], key_id: str, sets: bool) -> None:
    standing, rotated = after(pool, key_id, Secret("sk-new") if sets else None)
    for each in pool:
        scoped_here = each.provider_id == "openai" and key_id in (each.gateway_keys or ())
        if not scoped_here:
            assert standing[each.id] is each
        elif each.id in standing:
            now = standing[each.id].gateway_keys
            assert now
            assert set(now) <= set(each.gateway_keys or ())
        else:
            assert each.gateway_keys == (key_id,)
    serving = [c.id for c in standing.values() if c.provider_id == "openai" and key_id in (c.gateway_keys or ())]
    assert serving == ([rotated] if rotated else [])


@settings(max_examples=300, deadline=None)
@given(pools(), st.sampled_from(KEYS))
def test_what_is_rotated_serves_this_gateway_key_alone(pool: list[Credential], key_id: str) -> None:
    """Else another gateway key would get the new secret too."""
    decided = slot(pool, key_id, "openai", Secret("sk-new"))
    own = [c for c in pool if c.provider_id == "openai" and c.gateway_keys == (key_id,)]
    assert (decided.rotate is None) == (not own)
    if decided.rotate:
        assert decided.rotate.priority == min(c.priority for c in own)
