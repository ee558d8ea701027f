"""A validator for tests that exchange nothing: no STS is asked."""

from __future__ import annotations

from ownkey.catalog import Catalog
from ownkey.store.aws import AwsClient
from ownkey.store.sts import Sts
from ownkey.tokens import TokenBroker
from ownkey.upstream import Upstream
from ownkey.validation.validator import Validator
from ownkey.vault import Opener


def validator_of(opener: Opener, upstream: Upstream, catalog: Catalog) -> Validator:
    """As the validation function has it."""
    sts = Sts(AwsClient(environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}))
    return Validator(opener, upstream, catalog, TokenBroker(upstream, sts))
