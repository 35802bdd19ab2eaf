-- One row: one planned activity of one agent in one quarter of an hour (UTC), and what became of it. Or, of
-- the activity `unplanned`: time on the queue that no plan speaks of, less than 4 hours from a planned quarter.
--
-- An agent is on the queue while available, while it rings and at work on a contact; there, while on the
-- queue or any status but offline was told. The plan was kept (adherent) where the plan says on the queue
-- and the agent was, or where it says off the queue, not away, and the agent was off it: in paid time there
-- too. Paid time in which the agent was not on the queue is shrinkage, whatever the plan says; missing is
-- that part which was planned on the queue and not told as an absence.
WITH marks AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, from_ms AS at_ms, 1 AS step,
    CASE WHEN timeline IN ('contact', 'ring') OR state IN ('available', 'outbound') THEN 1 ELSE 0 END
      AS queue_step,
    team_id, site_id, tenure_band
  FROM facts.agent_spans
  UNION ALL
  SELECT
    tenant_id, is_test, agent_id, slice_at, to_ms AS at_ms, -1 AS step,
    CASE WHEN timeline IN ('contact', 'ring') OR state IN ('available', 'outbound') THEN -1 ELSE 0 END
      AS queue_step,
    team_id, site_id, tenure_band
  FROM facts.agent_spans
),
moments AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, at_ms, sum(step) AS step, sum(queue_step) AS queue_step,
    max(team_id) AS team_id, max(site_id) AS site_id, max(tenure_band) AS tenure_band
  FROM marks
  GROUP BY tenant_id, is_test, agent_id, slice_at, at_ms
),
steps AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, at_ms, team_id, site_id, tenure_band,
    lead(at_ms) OVER quarter AS until_ms,
    sum(step) OVER quarter AS told,
    sum(queue_step) OVER quarter AS queued
  FROM moments
  WINDOW quarter AS (
    PARTITION BY tenant_id, is_test, agent_id, slice_at ORDER BY at_ms
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
present AS (
  SELECT *, queued > 0 AS on_queue FROM steps WHERE told > 0 AND until_ms > at_ms
),
-- Of each planned stretch: how long the agent was there, and on the queue.
met AS (
  SELECT
    p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.from_ms, q.on_queue,
    greatest(least(p.to_ms, q.until_ms) - greatest(p.from_ms, q.at_ms), 0) AS ms
  FROM facts.schedule_time AS p
  JOIN present AS q
    ON p.tenant_id = q.tenant_id AND p.is_test = q.is_test AND p.agent_id = q.agent_id
    AND p.slice_at = q.slice_at
),
kept AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, from_ms,
    sum(ms) AS there_ms,
    sum(CASE WHEN on_queue THEN ms ELSE 0 END) AS actual_ms
  FROM met
  GROUP BY tenant_id, is_test, agent_id, slice_at, from_ms
),
plan AS (
  SELECT
    p.*, p.to_ms - p.from_ms AS ms,
    coalesce(k.actual_ms, 0) AS actual_ms, coalesce(k.there_ms, 0) AS there_ms
  FROM facts.schedule_time AS p
  LEFT JOIN kept AS k
    ON p.tenant_id = k.tenant_id AND p.is_test = k.is_test AND p.agent_id = k.agent_id
    AND p.slice_at = k.slice_at AND p.from_ms = k.from_ms
),
-- Of each quarter: time on the queue, and how much of it the plan speaks of.
queued AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, team_id, site_id, tenure_band, until_ms - at_ms AS ms
  FROM present
  WHERE on_queue
  UNION ALL
  SELECT tenant_id, is_test, agent_id, slice_at, team_id, site_id, tenure_band, -actual_ms AS ms
  FROM plan
),
beyond AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, max(team_id) AS team_id, max(site_id) AS site_id,
    max(tenure_band) AS tenure_band, sum(ms) AS ms
  FROM queued
  GROUP BY tenant_id, is_test, agent_id, slice_at
),
-- Of these the quarters near a planned one, found by equality: by windows over an agent's whole time the
-- question about a day would read everything there is.
unplanned AS (
  SELECT DISTINCT
    b.tenant_id, b.is_test, b.agent_id, b.slice_at, b.team_id, b.site_id, b.tenure_band, b.ms
  FROM (
    SELECT *, slice_at + INTERVAL '15 minutes' * step AS near_at
    FROM (SELECT *, unnest(range(-15, 16)) AS step FROM beyond WHERE ms > 0) AS steps
  ) AS b
  JOIN facts.schedule_time AS p
    ON b.tenant_id = p.tenant_id AND b.is_test = p.is_test AND b.agent_id = p.agent_id
    AND b.near_at = p.slice_at
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
  sum(
    CASE
      WHEN on_queue THEN actual_ms
      WHEN absence_kind IS NOT NULL THEN 0
      WHEN paid THEN there_ms - actual_ms
      ELSE ms - actual_ms
    END
  ) AS adherent_ms,
  sum(CASE WHEN absence_kind IS NOT NULL THEN ms - actual_ms ELSE 0 END) AS absent_ms,
  sum(CASE WHEN paid AND on_queue AND absence_kind IS NULL THEN ms - actual_ms ELSE 0 END)
    AS missing_ms,
  sum(CASE WHEN paid THEN ms - actual_ms ELSE 0 END) AS shrink_ms
FROM plan
GROUP BY
  tenant_id, is_test, agent_id, slice_at, activity, on_queue, productive, tracked, absence_kind
UNION ALL
SELECT
  tenant_id, is_test, agent_id, slice_at, 'unplanned' AS activity, true AS on_queue, true AS productive,
  false AS tracked, NULL AS absence_kind, team_id, site_id, tenure_band, NULL AS version,
  0 AS scheduled_ms, 0 AS paid_ms, 0 AS on_queue_scheduled_ms, ms AS on_queue_actual_ms,
  0 AS adherent_ms, 0 AS absent_ms, 0 AS missing_ms, 0 AS shrink_ms
FROM unplanned
