"""What the gateway costs, measured beside a peer in one run on one machine: `make bench`, kept in docs/bench.md.

Every target answers the same requests of the same client, from the same upstream, in turns: a round of each, then the
next round, so that whatever else the machine does meets all of them.
"""
