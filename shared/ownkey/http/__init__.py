"""The two HTTP apps, and what they share: who asks, and what an error looks like.

================= ==================================================================================
`errors`          an error of the tree in each dialect: body, status, headers
`presented`       the gateway key a request presents
`served`          the headers that say what served a request
`model_list`      `GET /v1/models` in both dialects
`inference`       the inference app
`sessions`        session tokens of the management API
`management`      the management app
================= ==================================================================================
"""
