"""Builds are made once for all tests here."""

from __future__ import annotations

import pytest

from tests.template.artefacts import Artefacts, build_for_this_machine, sam_build


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """What `sam build` makes for Lambda."""
    return sam_build(tmp_path_factory.mktemp("sam-build"))


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The same for this machine."""
    return build_for_this_machine(tmp_path_factory.mktemp("twin"))
