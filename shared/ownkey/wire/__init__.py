"""Below asyncio's streams and HTTP libraries: what the hot path cannot afford (docs/decisions/0011-hot-path.md).

==========  =====================================================================================
`arrival`   an awaitable whose waiter goes on in the wake-up that brought it, not in the one after
`http1`     HTTP/1.1 in bytes: requests out, answers in
`reaching`  the first of several addresses that answers, and TLS on it
`client`    kept connections to servers that are trusted: AWS
==========  =====================================================================================
"""
