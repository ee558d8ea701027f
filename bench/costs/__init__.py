"""What a billed request takes of AWS, counted: `python -m bench.costs` writes docs/costs.md.

=========== =====================================================================================
`units`     DynamoDB's own arithmetic: the size of an item, the units that a call takes
`meter`     a client of AWS that counts what goes through it
`scene`     inference and billing over the emulated tables, with a simulated provider
`counted`   the requests that are looked at, and what each took
`prices`    list prices, with their source
`page`      docs/costs.md
=========== =====================================================================================
"""
