"""A request that is ready to be tried, and the bounds of trying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.attempts import RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.limits import Limit
from ownkey.domain.sharing import REWARD_BASIS_POINTS
from ownkey.domain.surfaces import Surface
from ownkey.providers import Document


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much."""

    connect_s: float = 3.0
    first_token_s: float = 300.0
    """Of a stream: until its first event; also the silence allowed to a model that reasons."""
    whole_s: float = 600.0
    """Until the head of an answer in one piece: the model has generated all of it by then."""
    idle_s: float = 60.0
    """Between two pieces."""
    tail_s: float = 1.0
    """For what a provider sends after its last event, so that the connection can be used again."""
    max_attempts: int = 8
    max_answer_bytes: int = 48 * 1024 * 1024
    """Of one in one piece: 2,048 vectors of 3,072 numbers are 32 MiB in base64, 1,000 of 1,536 are 33 in OpenAI's
    decimals. One that is read and written anew takes some five times that in memory."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request that is ready to be tried."""

    facts: RequestFacts
    body: Document
    client_headers: Mapping[str, str]
    """Names in lower case."""
    input_tokens: int
    """Estimated; 0 where nothing is generated and nothing costs."""
    cost_mode: str
    """The gateway key's `usage_cost_mode`."""
    margin_percent: Decimal
    deadline_s: float
    """On the event loop's clock: when the answer must be over."""
    expires_at_s: int
    """Epoch seconds: when the function itself is over."""
    credit_shards: int = 1
    """Sub-balances of the account's credits."""
    account_limits: tuple[Limit, ...] = ()
    """Those that apply to the request."""
    on_disconnect: OnDisconnect = OnDisconnect.DRAIN
    """What becomes of the answer once the client has gone: the account's rule."""
    reward_basis_points: int = REWARD_BASIS_POINTS
    """Of the cost, for an account whose shared credential serves."""
    beta: bool = False
    """Whether the client's URL said `?beta=true`."""
    require_parameters: bool = False
    """Whether only a provider may serve that can express all of the request."""

    @property
    def surface(self) -> Surface:
        """The endpoint that was called."""
        return Surface(self.facts.surface)


@dataclass(frozen=True, slots=True)
class Served:
    """What headers tell of an attempt."""

    provider: str
    model: str
    credential: str
    """Alias."""
    source: CredentialSource
    lent: bool = False
    """Whether it is another account's: `credential` is then no alias of anybody's."""
    dropped: tuple[str, ...] = ()
    """What the provider's dialect could not express of the request, by the client's names."""
