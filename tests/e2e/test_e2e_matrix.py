"""Every surface reaches every family, whole and streamed: docs/compatibility.md, through the running stack."""

from __future__ import annotations

from collections.abc import Callable

import anthropic
import openai
import pytest

from ownkey.domain.surfaces import Surface as ApiSurface
from ownkey.providers import translator_for
from tests.e2e.accounts import Account
from tests.e2e.matrix_asking import SURFACES, Surface, Wish
from tests.e2e.matrix_cases import CASES, Asking, thinking, thinking_tools
from tests.e2e.matrix_families import FAMILIES, Family
from tests.e2e.matrix_page import PAGE, Matrix
from tests.e2e.world import World
from tests.support.providers import CATALOG


@pytest.fixture(scope="module")
def accounts(world: World) -> dict[str, Account]:
    """One for each family, with its credential."""
    return {}


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """What was seen, for the page."""
    return Matrix.of(request.config)


def reached(family: Family, surface: Surface) -> None:
    """Skips what has no translator yet."""
    provider = CATALOG.find_provider(family.provider)
    assert provider is not None
    model_id = family.model.partition("/")[2]
    model = CATALOG.model(provider.id, model_id)
    if translator_for(ApiSurface(surface.name), provider, model_id, model) is None:
        pytest.skip("no translator")


def account_for(family: Family, world: World, accounts: dict[str, Account]) -> Account:
    if family.name not in accounts:
        account = accounts[family.name] = world.account(platform_allowed=False)
        family.join(account, world)
    return accounts[family.name]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_can_be_asked(
    family: Family,
    surface: Surface,
    case: Callable[[Asking], None],
    streamed: bool,
    world: World,
    accounts: dict[str, Account],
    matrix: Matrix,
) -> None:
    why = surface.lacks.get(case.__name__)
    if case in (thinking, thinking_tools) and family.thinks == "":
        why = "its model does not show that it thinks."
    if why is not None:
        matrix.saw(family.name, surface.name, case.__name__, f"–: {why}")
        return
    reached(family, surface)
    account = account_for(family, world, accounts)
    cell = Asking(surface, account, family, streamed)
    lacks = family.lacks.get(case.__name__) or family.lacks.get(f"{surface.name} {case.__name__}")
    if lacks is None:
        case(cell)
    else:
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as refused:
            case(cell)
        assert refused.value.response.json()["error"]["code"] == "unsupported_parameter"
    matrix.saw(family.name, surface.name, case.__name__, lacks and f"refused: {lacks}.")


FAULTS = {
    "rate limit": ("[[sim: fail=429 retry_after=7]]", 429, "upstream_rate_limited"),
    "overload": ("[[sim: fail=overloaded]]", 503, "provider_overloaded"),
    "too long": ("[[sim: fail=context_length]]", 400, None),
    "failure": ("[[sim: fail=500]]", 502, "provider_error"),
}
OVERLOADED_ANTHROPIC = 529


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_can_go_wrong(
    family: Family,
    surface: Surface,
    fault: str,
    streamed: bool,
    world: World,
    accounts: dict[str, Account],
    matrix: Matrix,
) -> None:
    reached(family, surface)
    account = account_for(family, world, accounts)
    said, status, code = FAULTS[fault]
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as failed:
        surface.ask(account, family.model, Wish(text=f"hello {said}"), streamed=streamed)
    world.forget_health(account.id)
    error, headers = failed.value.response.json()["error"], failed.value.response.headers
    if surface.name == "messages" and status == 503:
        status = OVERLOADED_ANTHROPIC
    assert failed.value.status_code == status
    assert error["metadata"]["source"] == "provider"
    assert code in (None, error["code"])
    if fault == "rate limit":
        assert headers["retry-after"] == "7"
    matrix.saw(family.name, surface.name, fault, None)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_stream_that_breaks_ends_with_an_error_that_the_sdk_raises(
    family: Family, surface: Surface, world: World, accounts: dict[str, Account], matrix: Matrix
) -> None:
    reached(family, surface)
    account = account_for(family, world, accounts)
    with pytest.raises((openai.APIError, anthropic.APIError)) as failed:
        surface.ask(account, family.model, Wish(text="a b c d e [[sim: cut_after=3 cut_mode=reset]]"), streamed=True)
    world.forget_health(account.id)
    assert "stopped before its end" in str(failed.value)
    matrix.saw(family.name, surface.name, "cut stream", None)


def test_the_page_says_what_was_seen(
    matrix: Matrix, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Last: a cell that changed is not on the page yet. `make matrix` writes it again."""
    if not matrix.complete(FAMILIES, SURFACES, [*(case.__name__ for case in CASES), *FAULTS, "cut stream"]):
        pytest.skip("only a part of the matrix ran, or a part of it failed")
    if request.config.getoption("--write-matrix"):
        PAGE.write_text(matrix.page())
        with capsys.disabled():
            print("\n" + matrix.table())
    assert PAGE.read_text() == matrix.page(), "run `make matrix`"
