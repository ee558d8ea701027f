"""The ledger in a world of one seed: its clock, its network, its storage and its crashes replay from that number.

=========== =============================================================================================
`loop`      an event loop whose time is virtual
`model`     DynamoDB in this process: as much of it as the ledger asks for, many times faster than the shim
`shim`      the same tables in the shim's DynamoDB, over HTTP
`network`   the product's own AWS client, with what may happen to a call on its way
`world`     who is at work: inference, billing, upkeep, the operator; what befalls them; the rest afterwards
`requests`  one request, attempt after attempt, by the router's own parts
`stream`    the records table's stream into billing: batches, retries, bisecting, what is given up
`books`     everything re-counted from the records, and what must hold at every step
`bugs`      bugs to plant, so that it is known what would be found
=========== =============================================================================================

`python -m tests.simulation <seed>` replays one; `--shim` on the shim's DynamoDB, `--bug <name>` with a bug planted.
"""
