"""What a candidate's tokens cost, what of that the account is charged, and what is held before anything is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from ownkey.catalog import Model, PriceList, price_list_for
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.limits import Worst
from ownkey.domain.money import usd_number, with_margin
from ownkey.domain.savings import NO_SAVINGS, Savings
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.ledger.pricing import Cost, cost_of
from ownkey.providers import Document
from ownkey.router.candidates import Candidate
from ownkey.router.sizes import SIZED, at_most
from ownkey.router.worst_case import held_input, worst_case, worst_terms


@dataclass(frozen=True, slots=True)
class Bill:
    """What one attempt comes to, in nano-dollars."""

    cost_nanousd: int = 0
    """The provider's, by the price list; 0 where that has none."""
    charge_nanousd: int = 0
    """From the account's credits: 0 on BYOK."""
    priced: bool = False
    input_nanousd: int = 0
    """Of the cost on BYOK, of the charge on the platform: what went in, and the fees."""

    def paid_nanousd(self, source: CredentialSource) -> int:
        """What it comes to for the account, whoever is paid."""
        return self.cost_nanousd if source is CredentialSource.BYOK else self.charge_nanousd


@dataclass(frozen=True, slots=True)
class Tariff:
    """One candidate's prices at one moment."""

    source: CredentialSource
    prices: PriceList | None
    """What the provider bills for this credential."""
    margin_percent: Decimal
    at: datetime
    """When the provider is asked."""
    listed: PriceList | None = None
    """What the platform charges by: the published prices. None: there are none."""
    asked: PriceList | None = None
    """The published prices of what was asked for, where something else serves in its place. None: the same."""
    uplifts: tuple[str, ...] = ()
    """Those that the address called brings, whatever the answer says."""
    always_searches: bool = False
    """Whether every request is a web search."""
    _known: dict[tuple[int, Usage, Terms, bool], Cost | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What was priced already: an answer's usage is told to the client, recorded, and compared with what it saved."""

    @staticmethod
    def of(candidate: Candidate, margin_percent: Decimal, at: datetime) -> Tariff:
        """A candidate's: by its credential's own list where it has one, and by where it is called."""
        credential, published = candidate.credential, candidate.model.prices if candidate.model else None
        return Tariff(
            candidate.source,
            price_list_for(credential.pricing, credential.id, candidate.model_id, published),
            margin_percent,
            at,
            listed=published,
            uplifts=candidate.provider.uplifts_at(candidate.base_url),
            always_searches="always_searches" in candidate.provider.quirks,
        )

    @property
    def price_version(self) -> str | None:
        """Of the list that the cost is by; None without a price."""
        return self.prices.version if self.prices else None

    def bill(self, usage: Usage, terms: Terms = STANDARD_TERMS) -> Bill:
        """Cost and charge of a usage; nothing used costs nothing, whatever a request may cost."""
        if self.prices is None or usage == Usage():
            return Bill(priced=self.prices is not None)
        cost = self._price(self.prices, usage, terms, at=self.at)
        if cost is None:
            return Bill()
        if self.source is CredentialSource.BYOK:
            return Bill(cost.total_nanousd, 0, priced=True, input_nanousd=cost.input_nanousd)
        listed = self.listed or self.prices
        price_of_it = cost if listed is self.prices else self._price(listed, usage, terms, at=self.at)
        if price_of_it is None:
            return Bill(cost.total_nanousd, 0, priced=True)
        charge = with_margin(price_of_it.total_nanousd, self.margin_percent)
        into = with_margin(price_of_it.input_nanousd, self.margin_percent)
        return Bill(cost.total_nanousd, charge, priced=True, input_nanousd=into)

    def saved(self, usage: Usage, terms: Terms = STANDARD_TERMS) -> Savings:
        """What a usage cost less than on the baseline (docs/savings.md); nothing where one of its prices is unknown."""
        bill, plain = self.bill(usage, terms), usage.uncached
        if self.prices is None or not bill.priced or usage == Usage():
            return NO_SAVINGS
        byok = self.source is CredentialSource.BYOK
        listed = self.listed or self.prices
        here, own = self._cost(listed, plain, terms, at=self.at), self._cost(self.prices, plain, terms, at=self.at)
        asked = None if self.asked is None else self._cost(self.asked, plain, terms, at=self.at)
        if here is None or own is None or (self.asked and asked is None):
            return NO_SAVINGS
        # What has no published price the platform could not have served: one's own key saved nothing.
        bought = own if byok and self.listed is None else with_margin(here, self.margin_percent)
        uncached = own if byok else bought
        return Savings(
            byok=bought - uncached,
            caching=uncached - bill.paid_nanousd(self.source),
            routing=0 if asked is None else with_margin(asked, self.margin_percent) - bought,
        )

    def hold(self, request: Document, model: Model | None, input_tokens: int, surface: Surface = Surface.CHAT) -> int:
        """The worst case of a platform attempt in nano-dollars, margin included; 0 on BYOK."""
        if self.source is CredentialSource.BYOK:
            return 0
        return self.worst(request, model, input_tokens, surface).charge_nanousd

    def worst(
        self, request: Document, model: Model | None, input_tokens: int, surface: Surface = Surface.CHAT
    ) -> Worst:
        """The most that an attempt may use, cost and be charged; nothing where nothing is generated."""
        sized = surface in SIZED
        if not input_tokens and not sized:
            return Worst(0, 0, 0)
        byok = self.source is CredentialSource.BYOK
        prices = self.prices if byok else self.listed or self.prices
        most = at_most(surface, request, model, input_tokens) if sized else None
        if prices is None:
            known = most or worst_case(request, model, input_tokens, surface=surface)
            return Worst(known.total_tokens, 0, 0)
        terms = worst_terms(request, prices)
        rates = prices.rates(input_tokens=held_input(input_tokens), service_tier=terms.service_tier)
        usage = most or worst_case(
            request, model, input_tokens, surface=surface, rates=rates, always_searches=self.always_searches
        )
        # Not at this hour's rates: the hour may be over when the provider is asked.
        cost = self._cost(prices, usage, terms, at=None) or 0
        return Worst(usage.total_tokens, cost, 0 if byok else with_margin(cost, self.margin_percent))

    def applied(self, terms: Terms) -> Terms:
        """An answer's terms, with those that the address brings."""
        return replace(terms, uplifts=terms.uplifts + self.uplifts)

    def _cost(self, prices: PriceList, usage: Usage, terms: Terms, *, at: datetime | None) -> int | None:
        """The sum alone; None where it cannot be told."""
        cost = self._price(prices, usage, terms, at=at)
        return None if cost is None else cost.total_nanousd

    def _price(self, prices: PriceList, usage: Usage, terms: Terms, *, at: datetime | None) -> Cost | None:
        """None where it cannot be told."""
        key = id(prices), usage, terms, at is None  # of lists that are held here; `at` is this tariff's or none
        if key not in self._known:
            self._known[key] = cost_of(usage, prices, self.source, terms=self.applied(terms), at=at)
        return self._known[key]


def annotation(bill: Bill, source: CredentialSource, cost_mode: str) -> Mapping[str, object]:
    """The members added to an answer's `usage`.

    Clients of this dialect add `cost` and `upstream_inference_cost`: the provider's cost stands in one of them alone.
    `cost_mode` "charge": `cost` is what is charged here. "provider": on BYOK it is the provider's cost. The other two
    details are there as their SDKs refuse an answer without them; they add up to what it came to in all.
    """
    byok = source is CredentialSource.BYOK
    shown = bill.cost_nanousd if byok and cost_mode == "provider" else bill.charge_nanousd
    upstream = usd_number(bill.cost_nanousd) if byok and cost_mode != "provider" and bill.priced else None
    details: dict[str, object] = {
        "upstream_inference_cost": upstream,
        "upstream_inference_prompt_cost": usd_number(bill.input_nanousd),
        "upstream_inference_completions_cost": usd_number(bill.paid_nanousd(source) - bill.input_nanousd),
    }
    if not bill.priced:
        details["unpriced"] = True
    return {"is_byok": byok, "cost": usd_number(shown), "cost_details": details}
