-- One row: one order with the contacts about it: those that name it, without the one that sold it.
WITH about AS (
  SELECT
    o.tenant_id, o.order_id, count(*) AS contacts,
    sum(CASE WHEN c.reason_class = 'wismo' THEN 1 ELSE 0 END) AS contacts_wismo
  FROM facts.orders AS o
  JOIN facts.contact_reasons AS c
    ON o.tenant_id = c.tenant_id AND o.is_test = c.is_test AND o.order_id = c.order_id
    AND c.interaction_id <> coalesce(o.interaction_id, '')
  GROUP BY o.tenant_id, o.order_id
)
SELECT
  o.*, coalesce(a.contacts, 0) AS contacts, coalesce(a.contacts_wismo, 0) AS contacts_wismo
FROM facts.orders AS o
LEFT JOIN about AS a ON o.tenant_id = a.tenant_id AND o.order_id = a.order_id
