-- One row: one planned activity of one agent in one quarter of an hour (UTC), and what became of it.
--
-- An agent is on the queue while available, while it rings and at work on a contact, as far as that is
-- over. The plan was kept (adherent) where the plan says on the queue and the agent was, or where it
-- says off the queue and the agent was not. Paid time off the queue, or away, is shrinkage.
WITH marks AS (
  SELECT tenant_id, is_test, agent_id, slice_at, from_ms AS at_ms, 1 AS step
  FROM facts.agent_time
  WHERE timeline IN ('contact', 'ring') OR state IN ('available', 'outbound')
  UNION ALL
  SELECT tenant_id, is_test, agent_id, slice_at, to_ms AS at_ms, -1 AS step
  FROM facts.agent_time
  WHERE timeline IN ('contact', 'ring') OR state IN ('available', 'outbound')
),
moments AS (
  SELECT tenant_id, is_test, agent_id, slice_at, at_ms, sum(step) AS step
  FROM marks
  GROUP BY tenant_id, is_test, agent_id, slice_at, at_ms
),
steps AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, at_ms,
    lead(at_ms) OVER quarter AS until_ms,
    sum(step) OVER quarter AS running
  FROM moments
  WINDOW quarter AS (
    PARTITION BY tenant_id, is_test, agent_id, slice_at ORDER BY at_ms
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
on_queue AS (
  SELECT * FROM steps WHERE running > 0 AND until_ms > at_ms
),
-- Of each planned stretch: how long the agent was on the queue.
kept AS (
  SELECT
    p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.from_ms,
    sum(greatest(least(p.to_ms, q.until_ms) - greatest(p.from_ms, q.at_ms), 0)) AS actual_ms
  FROM facts.schedule_time AS p
  JOIN on_queue AS q
    ON p.tenant_id = q.tenant_id AND p.is_test = q.is_test AND p.agent_id = q.agent_id
    AND p.slice_at = q.slice_at
  GROUP BY p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.from_ms
),
plan AS (
  SELECT
    p.*, p.to_ms - p.from_ms AS ms, coalesce(k.actual_ms, 0) AS actual_ms
  FROM facts.schedule_time AS p
  LEFT JOIN kept AS k
    ON p.tenant_id = k.tenant_id AND p.is_test = k.is_test AND p.agent_id = k.agent_id
    AND p.slice_at = k.slice_at AND p.from_ms = k.from_ms
)
SELECT
  tenant_id, is_test, agent_id, slice_at, activity, on_queue, productive, tracked, absence_kind,
  max(team_id) AS team_id,
  max(site_id) AS site_id,
  max(tenure_band) AS tenure_band,
  max(version) AS version,
  sum(ms) AS scheduled_ms,
  sum(CASE WHEN paid THEN ms ELSE 0 END) AS paid_ms,
  sum(CASE WHEN on_queue THEN ms ELSE 0 END) AS on_queue_scheduled_ms,
  sum(actual_ms) AS on_queue_actual_ms,
  sum(CASE WHEN on_queue THEN actual_ms ELSE ms - actual_ms END) AS adherent_ms,
  sum(CASE WHEN absence_kind IS NOT NULL THEN ms ELSE 0 END) AS absent_ms,
  sum(CASE WHEN paid AND (absence_kind IS NOT NULL OR NOT on_queue) THEN ms ELSE 0 END) AS shrink_ms
FROM plan
GROUP BY
  tenant_id, is_test, agent_id, slice_at, activity, on_queue, productive, tracked, absence_kind
