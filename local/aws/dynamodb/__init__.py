"""DynamoDB's items: moto keeps the tables' definitions, this package everything that touches an item.

Why not moto's own: its transactions copy whole tables and lose concurrent writes, its conditions equate what DynamoDB
tells apart, its queries sort the whole table (docs/decisions/0002-moto-shim.md).

=============== ==================================================================
`service`       the operations by name: `DynamoDb.call`, the TTL sweep
`reads`         GetItem, BatchGetItem, Query, Scan
`writes`        PutItem, UpdateItem, DeleteItem, BatchWriteItem
`transactions`  TransactWriteItems, TransactGetItems, client tokens
`tables`        partitions, indexes, keys
`streams`       stream records and iterators
`syntax`        expressions' grammar; `tree`, what they say; `expressions`, their names and values
`conditions`    evaluating conditions and filters; `keyconditions`, those of queries
`updates`       evaluating updates
`values`        attribute values in canonical form, their order and size
=============== ==================================================================
"""
