-- One row: one order with what became of it.
SELECT * FROM facts.orders
