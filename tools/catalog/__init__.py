"""Builds the catalog's data files. `python -m tools.catalog build`; see docs/catalog.md.

=============  ===================================================================================================
`vocabulary`   which field of the price file means what; fields that are left out, each with its reason
`transform`    an entry of the price file -> a row of models.json (pure)
`providers`    providers.toml -> checked rows -> providers.json (pure)
`forms`        what may be wrong with a row's forms (pure)
`oracle`       compares every price with genai-prices; disagreements must be signed off
`source`       reads the pinned price file out of its wheel (the only part that uses the network)
`measure`      what the documents count
`page`         the providers for people: docs/providers.md (pure)
`build`        puts the files together
=============  ===================================================================================================
"""

import sys
from pathlib import Path

_SHARED = str(Path(__file__).parents[2] / "shared")
if _SHARED not in sys.path:  # the layer of our own code: `python -m tools.catalog` needs no PYTHONPATH
    sys.path.insert(0, _SHARED)
