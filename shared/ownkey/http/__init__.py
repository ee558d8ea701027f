"""The two HTTP apps, and what they share: who asks, and what an error looks like.

================= ==================================================================================
`inference`       the inference app: routes, and the endpoint around every request
`serving`         what each surface does, from the gateway key to the last event
`exchange`        one request and its response, on ASGI; the headers of every response
`requests`        reading a body, attribution, tags
`relay`           a stream to the client: keep-alives, disconnects
`model_list`      `GET /v1/models` in both dialects
`unrouted`        what is answered where no endpoint is
`errors`          an error of the tree in each dialect: body, status, headers
`presented`       the gateway key a request presents
`scope`           whether it may be used so, from there
`cors`            what a web page of another origin may read
`repeats`         requests that are repeated: `idempotency_key`, the header; `answer_seal`, how answers are kept
`generation`      `GET /v1/generation`, `/v1/credits`; `attempt_rows`, an attempt as both APIs show it
`key_info`        `GET /v1/key`: what its holder may know of it
`sessions`        session tokens of the management API
`management`      the management app
================= ==================================================================================
"""
