-- One row: one order with what became of it, and whether the customer had ordered before.
SELECT
  *,
  row_number() OVER (
    PARTITION BY tenant_id, is_test, customer_id ORDER BY placed_at, order_id
  ) > 1 AND customer_id IS NOT NULL AS existing_customer
FROM facts.orders
