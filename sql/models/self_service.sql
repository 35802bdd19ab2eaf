-- One row: one session with a menu, bot or page, with the time to the customer's next contact that came
-- to us and that an agent handled: whom we called did not come back. A contact that began at the same moment is the one that the session belongs to.
WITH moments AS (
  SELECT tenant_id, is_test, customer_id, started_at AS moment_at, session_id, NULL AS assisted_at
  FROM facts.self_service
  WHERE customer_id IS NOT NULL
  UNION ALL
  SELECT
    tenant_id, is_test, customer_id, started_at AS moment_at, NULL AS session_id,
    started_at AS assisted_at
  FROM facts.interactions
  WHERE handled AND direction = 'inbound' AND customer_id IS NOT NULL
),
followed AS (
  SELECT
    tenant_id, is_test, session_id,
    min(assisted_at) OVER (
      PARTITION BY tenant_id, is_test, customer_id ORDER BY moment_at DESC, session_id IS NULL
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS next_at
  FROM moments
),
nexts AS (
  SELECT tenant_id, session_id, max(next_at) AS next_at
  FROM followed
  WHERE session_id IS NOT NULL
  GROUP BY tenant_id, session_id
)
SELECT s.*, ms_between(s.started_at, n.next_at) AS next_assisted_gap_ms
FROM facts.self_service AS s
LEFT JOIN nexts AS n ON s.tenant_id = n.tenant_id AND s.session_id = n.session_id
