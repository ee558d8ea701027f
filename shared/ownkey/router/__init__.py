"""From a request to an answer: who may serve it, in which order, and what becomes of each try.

============= ============================================================================================
`plan`        which credentials may serve, best first, and why the others may not (pure)
`candidates`  what a plan is made from and of
`deployments` credentials that are for one deployment of one model (pure)
`pools`       the order of equal credentials: a pool's strategy, a rotation's share (pure, chance comes from outside)
`preferences` what the request says of providers: `order`, `only`, `ignore`, `allow_fallbacks`
`refusals`    the error of a plan without a candidate
`unwell`      the error where health leaves nobody (pure)
`tariff`      what a candidate's tokens cost, what of it is charged (pure); `worst_case`, what is held before
`sizes`       what a request that is no conversation comes to before it is sent: about, and at most (pure)
`job`         a request ready to be tried, and the bounds of trying
`attempt`     one use of one credential: open, hold, send, read
`presenting`  its credential: opened, exchanged, in headers
`reckoning`   what it came to: the usage that is recorded, its price
`recorder`    its record: one intent, one end
`limits`      what it reserves of the account's budgets and rate limits
`health`      what a request learns of credentials and providers, for all; who may be a probe
`lending`     the credentials that other accounts share, looked for where nothing else is left
`withheld`    what of a shared credential's failures is told (pure)
`run`         the attempts of one request, until one of them answers
`verdict`     several failures, one error (pure)
`ports`       what it needs of the vault, the ledger and the transport
============= ============================================================================================
"""

from ownkey.router.attempt import Attempt, ClientLeft
from ownkey.router.candidates import Candidate, Dropped, Moment, Reason, Supply
from ownkey.router.deployments import deployed_model
from ownkey.router.health import Monitor
from ownkey.router.job import Job, Limits, Served
from ownkey.router.lending import Borrowing, Lending
from ownkey.router.plan import Ask, Plan, Planner
from ownkey.router.pools import Turns
from ownkey.router.ports import Ports
from ownkey.router.preferences import Preferences
from ownkey.router.refusals import ENDPOINTS, refusal_of
from ownkey.router.run import Run
from ownkey.router.sizes import SIZED

__all__ = [
    "ENDPOINTS",
    "SIZED",
    "Ask",
    "Attempt",
    "Borrowing",
    "Candidate",
    "ClientLeft",
    "Dropped",
    "Job",
    "Lending",
    "Limits",
    "Moment",
    "Monitor",
    "Plan",
    "Planner",
    "Ports",
    "Preferences",
    "Reason",
    "Run",
    "Served",
    "Supply",
    "Turns",
    "deployed_model",
    "refusal_of",
]
