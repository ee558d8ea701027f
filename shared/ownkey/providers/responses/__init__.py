"""OpenAI's Responses.

================ ==================================================================
`passthrough`    to a provider that speaks them too: passed through
`subset`         …where they speak a part of them
`client`         from it to any other API
`requests_in`    …a request as a conversation: `items_in` what is said, `toolbook` with
                 what tools, `local_tools` those that the client runs itself
`answers_out`    …answers as events and as the response they build: `items_written` its
                 items
`api`            to it from any other dialect
`requests_out`   …a conversation as a request: `items_out` what is said, `efforts` how
                 much is thought, `tools_out` with what tools
`answers_in`     …its answers, whole and event by event
`counting`       how many tokens a conversation has
`words`          both ways: why an answer ended, citations, likelihoods
================ ==================================================================
"""
