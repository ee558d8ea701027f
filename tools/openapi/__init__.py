"""Builds the OpenAPI document of the management API. `python -m tools.openapi build`; `check` says if it would change.

=============  ===================================================================================================
`operations`   one row for each route: what it is for, who may call it, what it answers, an example of its body
`schemas`      what answers look like
`document`     both, and what FastAPI knows of paths, parameters and bodies, put together
=============  ===================================================================================================

The document is data in the package (`http/management/openapi.json`): the function that serves it imports none of this.
"""

import sys
from pathlib import Path

_SHARED = str(Path(__file__).parents[2] / "shared")
if _SHARED not in sys.path:  # the layer of our own code: `python -m tools.openapi` needs no PYTHONPATH
    sys.path.insert(0, _SHARED)
