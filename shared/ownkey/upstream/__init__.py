"""The only way out to providers: one guarded HTTP transport.

A key follows the URL it is sent to, so the URL is guarded twice: its text when it is saved and used (`policy`), and the
address it resolves to at the moment of connecting (`addresses`). Nothing here reads a proxy from the environment,
follows a redirect, or keeps a cookie.

============= ==========================================================================
`policy`      which URLs may be called at all: https, port 443, a public host
`addresses`   which addresses may be connected to
`dialing`     a name resolved once, its addresses checked and pinned, TLS on the name
`connection`  one request at a time; the answer's pieces at once
`encodings`   bodies that came compressed
`transport`   `Upstream.send`: a request, a streamed response, timeouts
`failures`    what can go wrong, as below
============= ==========================================================================

```
UpstreamFailure                 no whole answer from the provider; never carries URL, header or body
├── UpstreamUnreachable         no connection: DNS, TCP, TLS, closed before an answer
│   └── AddressRefused          the host resolves to an address that is not public
├── UpstreamTimeout             connected, silent
├── UpstreamBroken              the answer stopped before its end
└── UpstreamTooLarge            the answer is larger than was allowed for
```
"""

from ownkey.upstream.addresses import AddressRefused
from ownkey.upstream.failures import (
    UpstreamBroken,
    UpstreamFailure,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from ownkey.upstream.policy import UrlPolicy
from ownkey.upstream.transport import Timeouts, Upstream, UpstreamRequest, UpstreamResponse

__all__ = [
    "AddressRefused",
    "Timeouts",
    "Upstream",
    "UpstreamBroken",
    "UpstreamFailure",
    "UpstreamRequest",
    "UpstreamResponse",
    "UpstreamTimeout",
    "UpstreamTooLarge",
    "UpstreamUnreachable",
    "UrlPolicy",
]
