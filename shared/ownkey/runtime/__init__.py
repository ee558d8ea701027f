"""How a function runs: its environment, its log lines and, for `inference`, the loop that streams.

=============  ======================================================================================================
`settings`     the environment, read once: one class for each function
`logs`         JSON lines through the scrubber
`metrics`      metrics as log lines; `freshness`, a warning of old prices
`guard`        the managed runtime's functions: nothing uncaught reaches AWS's own log
`bootstrap`    the process: import, restore, startup, serve (`python -m ownkey.runtime.bootstrap`)
`loop`         one invocation after the other
`events`       an API Gateway event as an ASGI request, and the invocation's context
`asgi`         `receive` and `send` of one request
`lifespan`     the app's startup and shutdown, once for each process
`api`          the Lambda Runtime API
`response`     one streamed response: prelude, chunks, trailers
`prelude`      status and headers as API Gateway reads them
`http1`        HTTP/1.1 over asyncio streams
=============  ======================================================================================================

Why there is a loop of our own: docs/decisions/0001-streaming-runtime.md.
"""
