"""Which credentials may serve a request, best first. Pure: no I/O, no clock, the same answer to the same question.

The order (docs/contracts/routing.md):

1. the account's own credentials before the platform's: BYOK is free of charge; then those that other accounts share;
2. providers as `provider.order` has them, then as the catalog prefers them for the model;
3. credentials scoped to this gateway key before account-wide ones;
4. their priority;
5. as the pool's strategy has it, by default the older one first (`pools`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from ownkey.catalog import Catalog, Kind, Model, ModelRef, Provider, is_sold
from ownkey.domain.credentials import Credential, CredentialSource, PoolStrategy, StoredCredential
from ownkey.domain.health import Mark
from ownkey.domain.scopes import admits_model, model_names
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_for
from ownkey.router.candidates import (
    NO_PROBES,
    OF_HEALTH,
    Candidate,
    Dropped,
    Moment,
    Reason,
    Supply,
    health_keys,
)
from ownkey.router.deployments import asked_of
from ownkey.router.pools import Draws, pool_order
from ownkey.router.preferences import ANY_PROVIDER, Preferences

_CACHED_MODELS = 4_096
_Rank = tuple[int, int, int, bool, int]
"""Whose, which provider by the request's word and by the catalog's, for whom, which priority."""
_AT_NO_TIME = Moment()


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, by whom."""

    surface: Surface
    model: str
    """As the client names it."""
    gateway_key_id: str
    platform_allowed: bool = True
    """Whether the account allows platform credentials."""
    preferences: Preferences = ANY_PROVIDER
    allowed_providers: frozenset[str] | None = None
    """The gateway key's scope: ids. None: all."""
    allowed_models: tuple[str, ...] | None = None
    """The gateway key's scope: patterns as `domain.scopes` has them. None: all."""

    def provider_in_scope(self, provider: Provider) -> bool:
        """Whether the gateway key may use the provider."""
        return self.allowed_providers is None or provider.id in self.allowed_providers

    def model_in_scope(self, provider: Provider, model_id: str) -> bool:
        """Whether the gateway key may use what is asked for at the provider, which names it `model_id`.

        By any of its names: as the request has it, as the provider has it, and `provider/model`.
        """
        if self.allowed_models is None:
            return True
        return admits_model(self.allowed_models, {self.model} | model_names(provider.names, model_id))


@dataclass(frozen=True, slots=True)
class Plan:
    """The candidates in the order to be tried, and those that were dropped."""

    ask: Ask
    providers: tuple[Provider, ...]
    """Those that list the model, by preference."""
    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]
    in_scope: bool = True
    """Whether the gateway key's scope reaches the model at any of the providers that list it."""
    at_ms: int = 0
    """When it was made, in epoch milliseconds."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """What the catalog knows of the model, by provider; looked up where there is no candidate."""
    serving: tuple[Provider, ...] = ()
    """Where there is no candidate: the providers of the account's credentials that can serve the surface."""
    elsewhere: tuple[tuple[Provider, str], ...] = ()
    """Where there is no candidate: the account's providers that have the model under an id of theirs, and that id. They
    serve it where the request names them."""

    @property
    def unwell(self) -> list[Dropped]:
        """Those that only their health keeps from serving."""
        return [each for each in self.dropped if each.mark is not None]


class Planner:
    """Plans over one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._listing = lru_cache(_CACHED_MODELS)(self._find_listing)

    def shared(self, ask: Ask, own: Supply, lent: Sequence[Supply], moment: Moment = _AT_NO_TIME) -> list[Candidate]:
        """What may serve `ask` of the credentials that other accounts share.

        Args:
            own: The client's account's: its credentials may forbid a fallback.
        """
        plan = self.plan(ask, own, Supply(), moment, lent)
        return [candidate for candidate in plan.candidates if candidate.lent]

    def plan(
        self, ask: Ask, own: Supply, platform: Supply, moment: Moment = _AT_NO_TIME, lent: Sequence[Supply] = ()
    ) -> Plan:
        """Everything that may serve `ask`, of the account's own credentials and the platform's."""
        listing = self._listing(ask.model)
        wanted = _Wanted(self._catalog, ask.preferences)
        usable: list[tuple[_Rank, str, bool, Candidate]] = []
        dropped: list[Dropped] = []
        no_fallback: set[str] = set()
        for source, supply, stored, provider, model_id in self._considered(ask, listing, wanted, own, platform, lent):
            credential = stored.credential
            if source is CredentialSource.BYOK and credential.always_use and credential.serves_key(ask.gateway_key_id):
                no_fallback.add(provider.id)
            reason = _why_not(ask, wanted, credential, provider, model_id)
            model = self._catalog.model(provider.id, model_id)
            if reason is None and source is CredentialSource.PLATFORM:
                reason = _why_not_platform(ask, provider.id in no_fallback, model)
            translator = translator_for(ask.surface, provider, model_id, model)
            if reason is None and translator is None:
                reason = Reason.OTHER_SURFACE
            if supply.lender and (reason is not None or translator is None):
                continue  # nobody's to know of
            if reason is not None or translator is None:
                dropped.append(Dropped(provider, model_id, credential, source, reason or Reason.OTHER_SURFACE))
                continue
            mark, probes = _looked_up(supply, provider, model_id, credential, moment.at_ms)
            if supply.lender and mark is not None:
                continue
            if mark is not None:
                dropped.append(Dropped(provider, model_id, credential, source, OF_HEALTH[mark.state], mark))
                continue
            rank = (
                (source is CredentialSource.PLATFORM) + (supply.lender is not None),
                wanted.rank(provider.id),
                listing.rank(provider.id),
                credential.gateway_keys is None,
                credential.priority,
            )
            lends = supply.lender is not None
            candidate = Candidate(provider, model_id, model, stored, source, translator, probes, lends)
            usable.append((rank, credential.id, stored.is_previous, candidate))
        usable.sort(key=itemgetter(0, 1, 2))
        candidates = tuple(_pooled(usable, own, platform, moment.draws))
        in_scope = bool(candidates) or listing.in_scope(ask)
        plan = Plan(ask, listing.providers, candidates, tuple(dropped), in_scope, moment.at_ms)
        if candidates:
            return plan
        return replace(
            plan,
            models=self._models(listing, dropped),
            serving=self._serving(ask, own, platform),
            elsewhere=self._elsewhere(ask, listing, wanted, own),
        )

    def _models(self, listing: _Listing, dropped: Sequence[Dropped]) -> dict[str, Model]:
        """What the catalog knows of a model at all that list it, or that were considered."""
        names = {provider.id: listing.model_ids[provider.id] for provider in listing.providers}
        names |= {each.provider.id: each.model_id for each in dropped}
        found = {provider_id: self._catalog.model(provider_id, model_id) for provider_id, model_id in names.items()}
        return {provider_id: model for provider_id, model in found.items() if model}

    def _serving(self, ask: Ask, own: Supply, platform: Supply) -> tuple[Provider, ...]:
        """The providers of usable credentials that serve the surface, whatever the model."""
        usable = [stored.credential for stored in own.credentials]
        if ask.platform_allowed and ask.preferences.allow_fallbacks:
            usable += [stored.credential for stored in platform.credentials]
        found: dict[str, Provider] = {}
        for credential in usable:
            provider = self._catalog.find_provider(credential.provider_id)
            if (
                provider is not None
                and not credential.disabled
                and credential.serves_key(ask.gateway_key_id)
                and ask.provider_in_scope(provider)
                and translator_for(ask.surface, provider, "", None)
            ):
                found[provider.id] = provider
        return tuple(found.values())

    def _elsewhere(self, ask: Ask, listing: _Listing, wanted: _Wanted, own: Supply) -> tuple[tuple[Provider, str], ...]:
        """The own providers that only have to be named, each with its id of the model."""
        found: dict[str, tuple[Provider, str]] = {}
        for stored in own.credentials:
            credential = stored.credential
            provider = self._catalog.find_provider(credential.provider_id)
            if provider is None or wanted.names(provider.id):
                continue
            model_id = listing.model_at(provider, credential, ask.model, named=True)
            if model_id and _why_not(ask, wanted, credential, provider, model_id) is None:
                model = self._catalog.model(provider.id, model_id)
                if model is not None and translator_for(ask.surface, provider, model_id, model):
                    found[provider.id] = (provider, model_id)
        return tuple(found.values())

    def _considered(
        self, ask: Ask, listing: _Listing, wanted: _Wanted, own: Supply, platform: Supply, lent: Sequence[Supply]
    ) -> Iterator[tuple[CredentialSource, Supply, StoredCredential, Provider, str]]:
        """Every credential that has to do with the model; own ones first, as they decide on the platform's."""
        others = [(CredentialSource.PLATFORM, each) for each in (platform, *lent)]
        for source, supply in ((CredentialSource.BYOK, own), *others):
            for stored in supply.credentials:
                provider = self._catalog.find_provider(stored.credential.provider_id)
                if provider is None:
                    continue
                named = wanted.names(provider.id)
                model_id = listing.model_at(provider, stored.credential, ask.model, named=named)
                if model_id:
                    yield source, supply, stored, provider, model_id

    def _find_listing(self, model: str) -> _Listing:
        ref = self._catalog.resolve(model)
        # Gateways list other makers' models under the whole name, `openai/gpt-4o`.
        found = {provider.id: (provider, model) for provider in self._catalog.providers_of(model)}
        if ref.provider_id is not None:
            named = self._catalog.provider(ref.provider_id)
            found = {named.id: (named, ref.model_id)} | {k: v for k, v in found.items() if k != named.id}
        return _Listing(
            self._catalog,
            ref,
            tuple(provider for provider, _ in found.values()),
            {provider_id: model_id for provider_id, (_, model_id) in found.items()},
        )


class _Listing:
    """Who lists a model, and under which id."""

    def __init__(
        self, catalog: Catalog, ref: ModelRef, providers: tuple[Provider, ...], model_ids: dict[str, str]
    ) -> None:
        self._catalog = catalog
        self._ref = ref
        self.providers = providers
        self.model_ids = model_ids
        self._ranks = {provider_id: rank for rank, provider_id in enumerate(model_ids)}
        self._exact = frozenset(each for each, model_id in model_ids.items() if catalog.lists(each, model_id))

    def rank(self, provider_id: str) -> int:
        """The provider's place in the catalog's preference; those that do not list the model stand last."""
        return self._ranks.get(provider_id, len(self._ranks))

    def in_scope(self, ask: Ask) -> bool:
        """Whether the gateway key may use the model at any of the providers; where nobody lists it, its bare name."""
        if not self.model_ids:
            return ask.allowed_models is None or admits_model(ask.allowed_models, (ask.model,))
        listed = zip(self.providers, self.model_ids.values(), strict=True)
        return any(ask.provider_in_scope(each) and ask.model_in_scope(each, model_id) for each, model_id in listed)

    def model_at(self, provider: Provider, credential: Credential, model: str, *, named: bool) -> str | None:
        """The model's id at the credential's provider; None where it has nothing to do with the model.

        Beyond what the catalog lists: a model that the credential's own list names, and, where nobody lists it,
        whatever a base URL of the user's own may serve. A credential for one deployment serves that alone.

        Args:
            named: Whether the request itself names the provider: then `vendor/model` may also be what it has of it.
        """
        if credential.deployment is not None:
            return asked_of(self._catalog, credential, credential.deployment, self._ref, model, named=named)
        if provider.id in self._exact:
            return self.model_ids[provider.id]
        if provider.id in self.model_ids:
            model_id = self.model_ids[provider.id]
            return self._spelled(provider, credential, model_id, model) or model_id
        if named and (found := self._spelled(provider, credential, self._ref.model_id, model)):
            return found
        if credential.allowed_models is not None:
            return model if model in credential.allowed_models else None
        own_server = credential.custom_base_url or provider.kind is Kind.CUSTOM
        return model if own_server and not self.model_ids else None

    def _spelled(self, provider: Provider, credential: Credential, model_id: str, model: str) -> str | None:
        """The provider's own id of the model, for this credential; None: it lists none."""
        if self._catalog.lists(provider.id, model_id):
            return model_id
        name = model_id if self._ref.provider_id == provider.id else model
        found = self._catalog.id_at(provider.id, name, credential.fields)
        return found or (model_id if self._catalog.model(provider.id, model_id) else None)


class _Wanted:
    """The request's preferences with its names resolved. A name that nobody has matches nothing."""

    def __init__(self, catalog: Catalog, preferences: Preferences) -> None:
        def ids(names: Sequence[str]) -> list[str]:
            return [provider.id for name in names if (provider := catalog.find_provider(name))]

        self._ranks = {provider_id: rank for rank, provider_id in reversed(list(enumerate(ids(preferences.order))))}
        self._ignored = frozenset(ids(preferences.ignore))
        only = None if preferences.only is None else ids(preferences.only)
        if preferences.order and not preferences.allow_fallbacks:
            only = [each for each in self._ranks if only is None or each in only]
        self._only = None if only is None else frozenset(only)

    def rank(self, provider_id: str) -> int:
        """The provider's place in `order`; the others stand behind it."""
        return self._ranks.get(provider_id, len(self._ranks))

    def names(self, provider_id: str) -> bool:
        """Whether the request asks for this provider."""
        return provider_id in self._ranks or (self._only is not None and provider_id in self._only)

    def admits(self, provider_id: str) -> bool:
        """Whether the request lets this provider serve."""
        return provider_id not in self._ignored and (self._only is None or provider_id in self._only)


def _looked_up(
    supply: Supply, provider: Provider, model_id: str, credential: Credential, at_ms: int
) -> tuple[Mark | None, Mapping[str, Mark]]:
    """What stands in its way, and which marks it may end as their probe."""
    if not supply.health:
        return None, NO_PROBES
    return supply.health.look(health_keys(provider, model_id, credential), at_ms)


def _pooled(
    usable: Sequence[tuple[_Rank, str, bool, Candidate]], own: Supply, platform: Supply, draws: Draws
) -> Iterator[Candidate]:
    """The candidates, those of equal rank in the order of their pools: each provider's in the places that it has."""
    if len(usable) < 2:
        yield from (candidate for _, _, _, candidate in usable)
        return
    for number, (_, run) in enumerate(groupby(usable, key=itemgetter(0))):
        equals = [candidate for _, _, _, candidate in run]
        pools = (platform if equals[0].source is CredentialSource.PLATFORM else own).pools
        default = PoolStrategy.RANDOM if equals[0].lent else PoolStrategy.FALLBACK
        by_provider: dict[str, list[Candidate]] = {}
        for candidate in equals:
            by_provider.setdefault(candidate.provider.id, []).append(candidate)
        ordered = {
            provider_id: iter(pool_order(pools.get(provider_id, default), each, draws, first=not number))
            for provider_id, each in by_provider.items()
        }
        yield from (next(ordered[candidate.provider.id]) for candidate in equals)


def _why_not(ask: Ask, wanted: _Wanted, credential: Credential, provider: Provider, model_id: str) -> Reason | None:
    if not credential.serves_key(ask.gateway_key_id):
        return Reason.OTHER_GATEWAY_KEY
    if not ask.provider_in_scope(provider):
        return Reason.PROVIDER_OUT_OF_SCOPE
    if not ask.model_in_scope(provider, model_id):
        return Reason.MODEL_OUT_OF_SCOPE
    if credential.disabled:
        return Reason.DISABLED
    if not (credential.serves_model(model_id) or credential.serves_model(ask.model)):
        return Reason.MODEL_NOT_ALLOWED
    return None if wanted.admits(provider.id) else Reason.NOT_WANTED


def _why_not_platform(ask: Ask, no_fallback: bool, model: Model | None) -> Reason | None:
    if not ask.platform_allowed:
        return Reason.ACCOUNT_FORBIDS_PLATFORM
    if not ask.preferences.allow_fallbacks:
        return Reason.REQUEST_FORBIDS_PLATFORM
    if no_fallback:
        return Reason.CREDENTIAL_FORBIDS_PLATFORM
    return None if is_sold(model, ask.surface) else Reason.UNPRICED
