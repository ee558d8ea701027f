"""The catalog: which providers there are, which models they serve, and what those cost.

```
catalog = Catalog.load()                        # Catalog.load(overrides) sends providers elsewhere (local stack)
catalog.version                                 # "2026-11-21.3f9a1c2b": the price version of a billing record
catalog.is_stale(today)                         # True when nobody refreshed the prices for MAX_AGE_DAYS

catalog.providers                               # tuple[Provider, ...], in order of preference: decodes every row
catalog.provider("groq")                        # Provider; KeyError for an id that is not in the catalog
catalog.find_provider("AWS bedrock")            # Provider | None by id, display name or alias, any case

provider.forms                                  # tuple[Form, ...]: the ways to give a credential; never empty
read_form(provider, {"key": "sk-…"})            # FormInput: the form, public fields, secrets, the vendor's address
mask_of(form, public, secrets)                  # "AKIA…WXYZ, us-east-1"

provider.parameters_of("gpt-4o")                # Parameters: what the provider refuses or names otherwise
provider.protocol_of("claude-opus-4-5")         # str | None: another protocol than its family's

catalog.model("openai", "gpt-4o")               # Model | None
catalog.models("openai")                        # tuple[Model, ...]: all it lists
catalog.providers_of("gpt-4o")                  # tuple[Provider, ...] that list it: its maker first, resellers last
catalog.id_at("bedrock", "anthropic/claude-haiku-4.5", {"region": "eu-west-1"})     # str | None: the host's own id
catalog.resolve("openai/gpt-4o")                # ModelRef("openai", "gpt-4o")
catalog.resolve("gpt-4o")                       # ModelRef(None, "gpt-4o")

model.prices.rates(input_tokens=usage.input_tokens, service_tier=None, at=now)     # Rates, every bucket filled
```

`Rates` has one field for each token bucket of `domain.usage.Usage`, by the same name, in USD per million tokens as
exact `Decimal`s. One USD per million tokens is a thousand nano-dollars per token; with nothing rounded before the end:

```
exact_nanousd = sum(getattr(usage, bucket) * getattr(rates, bucket) for bucket in RATE_BUCKETS) * NANOUSD_PER_UNIT
```

A model that is not in the catalog can still be called: it has no price (`price_version` None), which is not one of 0.

`catalog` puts together `providers` (rows of a `table`), `models` (lines of a `listing`) and their `prices`; `modes` say
which endpoints a model is for; `parameters` are departures from a dialect; `forms` are the ways to give a credential,
`intake` reads one, `calls` prove one; `naming` finds a host's ids by the makers' names; `negotiated` makes a
credential's own price list, `sharing` reads the text of the consent.

Files here: `providers.toml` is written by hand; `providers.json` (the same, quick to read) and `models.json` are built
by `python -m tools.catalog build`. See docs/catalog.md.
"""

from ownkey.catalog.calls import Auth, Validation, ValidationStatus, Verdict
from ownkey.catalog.catalog import MAX_AGE_DAYS, Catalog, ModelRef
from ownkey.catalog.forms import KEY, Field, Form, Scheme
from ownkey.catalog.intake import FormInput, mask_of, read_form, wire_members
from ownkey.catalog.models import Model
from ownkey.catalog.modes import does, is_sold
from ownkey.catalog.naming import plain_name
from ownkey.catalog.negotiated import price_list_for
from ownkey.catalog.parameters import Parameters, ReasoningField, ResponsesSubset
from ownkey.catalog.prices import NANOUSD_PER_UNIT, RATE_BUCKETS, OffPeak, PriceList, Rates, Step, Window
from ownkey.catalog.providers import KeyHint, Kind, Provider, ReportSource, UpstreamOverride

__all__ = [
    "KEY",
    "MAX_AGE_DAYS",
    "NANOUSD_PER_UNIT",
    "RATE_BUCKETS",
    "Auth",
    "Catalog",
    "Field",
    "Form",
    "FormInput",
    "KeyHint",
    "Kind",
    "Model",
    "ModelRef",
    "OffPeak",
    "Parameters",
    "PriceList",
    "Provider",
    "Rates",
    "ReasoningField",
    "ReportSource",
    "ResponsesSubset",
    "Scheme",
    "Step",
    "UpstreamOverride",
    "Validation",
    "ValidationStatus",
    "Verdict",
    "Window",
    "does",
    "is_sold",
    "mask_of",
    "plain_name",
    "price_list_for",
    "read_form",
    "wire_members",
]
