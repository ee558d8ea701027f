"""The requests that are looked at, and what each of them took."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bench.costs.meter import Taken
from bench.costs.scene import Scene, scene

BUSY = 25
"""Attempts of one account in a batch of the stream, for busy traffic."""
_MONTH = "M#"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request."""

    title: str
    byok: bool
    limits: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """With an `Idempotency-Key`, another one each time."""

    def sent(self) -> Mapping[str, str]:
        """The headers of one request."""
        return {**self.headers, **({"idempotency-key": uuid.uuid4().hex} if self.repeatable else {})}


CASES: Mapping[str, Case] = {
    "byok": Case("own key", byok=True),
    "byok_named": Case(
        "own key; app, user, two tags",
        byok=True,
        body={
            "user": "customer-4711@example.com",
            "metadata": {"feature": "semantic-search", "team": "platform-engineering"},
        },
        headers={"http-referer": "https://app.example.com/assistant/chat", "x-title": "Example assistant"},
    ),
    "byok_repeatable": Case("own key, `Idempotency-Key`", byok=True, repeatable=True),
    "byok_limits": Case("own key, two hard limits", byok=True, limits=2),
    "platform": Case("platform key", byok=False),
    "platform_limits": Case("platform key, two hard limits", byok=False, limits=2),
}


@dataclass(frozen=True, slots=True)
class Units:
    """Of one request."""

    writes: Decimal
    """Items written."""
    write_units: Decimal
    read_units: Decimal
    month_units: Decimal
    """Of the write units, those of aggregates by month."""

    @staticmethod
    def of(taken: Iterable[Taken], requests: int = 1) -> Units:
        """The sum, divided by the requests that it is of."""
        all_of = list(taken)
        months = (each for each in all_of if each.table.split("-")[1] == "RollupsTable" and each.sk.startswith(_MONTH))
        sums = (
            sum(each.write_units > 0 for each in all_of),
            sum(each.write_units for each in all_of),
            sum(each.read_units for each in all_of),
            sum(each.write_units for each in months),
        )
        return Units(*(Decimal(each) / requests for each in sums))


@dataclass(frozen=True, slots=True)
class Counted:
    """What one request of a kind took once everything was warm."""

    inference: Units
    alone: Units
    """Billing, where the request is the only one of its batch."""
    busy: Units
    """Billing, as one of `BUSY`."""

    @property
    def write_units(self) -> tuple[Decimal, Decimal]:
        """All of them, alone and busy."""
        return self.inference.write_units + self.alone.write_units, self.inference.write_units + self.busy.write_units

    @property
    def read_units(self) -> tuple[Decimal, Decimal]:
        """Likewise."""
        return self.inference.read_units + self.alone.read_units, self.inference.read_units + self.busy.read_units


async def count_all() -> Mapping[str, Counted]:
    """Every case."""
    async with scene() as stage:
        return {name: await count(stage, case) for name, case in CASES.items()}


async def count(stage: Scene, case: Case) -> Counted:
    """One case, by a new account's third request: the first fills caches, and the provider's too."""
    tenant = await stage.tenant(byok=case.byok, limits=case.limits)
    for _ in range(2):
        await stage.bill([await stage.ask(tenant, case.body, case.sent())])
    stage.inference.taken.clear()
    record = await stage.ask(tenant, case.body, case.sent())
    inference = Units.of(stage.inference.taken)
    stage.billing.taken.clear()
    await stage.bill([record])
    alone = Units.of(stage.billing.taken)
    many = [await stage.again(record) for _ in range(BUSY)]
    stage.billing.taken.clear()
    await stage.bill(many)
    return Counted(inference, alone, Units.of(stage.billing.taken, BUSY))
