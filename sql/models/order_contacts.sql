-- One row: one order and one contact about it, or an order that nobody asked about (contact_no 0).
--
-- A contact is about an order that it names, if it came to us after the order was placed; the contact
-- that sold it is not, and neither are duplicates and spam. contact_no counts the contacts of an order by
-- time, so an order counts where contact_no is at most 1.
WITH about AS (
  SELECT
    o.tenant_id, o.order_id, c.reason_class AS contact_class,
    ms_between(o.placed_at, c.started_at) AS contact_gap_ms,
    row_number() OVER (
      PARTITION BY o.tenant_id, o.order_id ORDER BY c.started_at, c.interaction_id
    ) AS contact_no
  FROM facts.orders AS o
  JOIN facts.contact_reasons AS c
    ON o.tenant_id = c.tenant_id AND o.is_test = c.is_test AND o.order_id = c.order_id
    AND c.started_at >= o.placed_at AND c.interaction_id <> coalesce(o.interaction_id, '')
  WHERE c.direction = 'inbound' AND NOT c.duplicate AND NOT c.spam
)
SELECT
  o.*, CAST(coalesce(a.contact_no, 0) AS BIGINT) AS contact_no, a.contact_gap_ms, a.contact_class
FROM facts.orders AS o
LEFT JOIN about AS a ON o.tenant_id = a.tenant_id AND o.order_id = a.order_id
