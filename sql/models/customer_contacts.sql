-- One row: one contact of a known customer, with the time to the customer's next leaving (`ended` of
-- somebody who was not gone) and next coming back (`active` after `ended`), and what the customer was
-- then: segment and status.
WITH changes AS (
  SELECT
    tenant_id, customer_id, valid_from, status,
    lag(status) OVER (PARTITION BY tenant_id, customer_id ORDER BY valid_from) AS status_before
  FROM facts.customers
),
moments AS (
  SELECT
    tenant_id, customer_id, valid_from AS moment_at, NULL AS interaction_id,
    CASE WHEN status = 'ended' AND coalesce(status_before, '') <> 'ended' THEN valid_from END AS ended_at,
    CASE WHEN status = 'active' AND status_before = 'ended' THEN valid_from END AS returned_at
  FROM changes
  UNION ALL
  SELECT
    tenant_id, customer_id, started_at AS moment_at, interaction_id, NULL AS ended_at,
    NULL AS returned_at
  FROM facts.interactions
  WHERE customer_id IS NOT NULL
),
-- A change at the moment of the contact comes after it.
followed AS (
  SELECT
    tenant_id, interaction_id,
    min(ended_at) OVER later AS next_end_at,
    min(returned_at) OVER later AS next_return_at
  FROM moments
  WINDOW later AS (
    PARTITION BY tenant_id, customer_id ORDER BY moment_at DESC, interaction_id IS NOT NULL
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
nexts AS (
  SELECT
    tenant_id, interaction_id, max(next_end_at) AS next_end_at,
    max(next_return_at) AS next_return_at
  FROM followed
  WHERE interaction_id IS NOT NULL
  GROUP BY tenant_id, interaction_id
)
SELECT
  i.*, c.segment AS customer_segment, c.status AS customer_status,
  ms_between(i.started_at, n.next_end_at) AS churn_gap_ms,
  ms_between(i.started_at, n.next_return_at) AS return_gap_ms
FROM facts.interactions AS i
LEFT JOIN nexts AS n ON i.tenant_id = n.tenant_id AND i.interaction_id = n.interaction_id
LEFT JOIN facts.customers AS c
  ON i.tenant_id = c.tenant_id AND i.customer_id = c.customer_id
  AND i.started_at >= c.valid_from AND (c.valid_to IS NULL OR i.started_at < c.valid_to)
WHERE i.customer_id IS NOT NULL
