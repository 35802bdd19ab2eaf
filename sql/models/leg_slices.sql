-- One row: one leg in one quarter of an hour (UTC) with its part of its agent's time in it.
--
-- A moment with k legs at work is split k ways, and what does not divide goes to the least leg_id: the
-- shares of an agent's legs sum to the time in which the agent was at work on any, exactly.
WITH work AS (
  SELECT tenant_id, is_test, agent_id, slice_at, span_id, from_ms, to_ms
  FROM facts.agent_time
  WHERE timeline = 'contact'
),
marks AS (
  SELECT tenant_id, is_test, agent_id, slice_at, from_ms AS at_ms FROM work
  UNION
  SELECT tenant_id, is_test, agent_id, slice_at, to_ms AS at_ms FROM work
),
pieces AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, at_ms,
    lead(at_ms) OVER (
      PARTITION BY tenant_id, is_test, agent_id, slice_at ORDER BY at_ms
    ) - at_ms AS ms
  FROM marks
),
together AS (
  SELECT
    p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.ms, w.span_id,
    count(*) OVER (
      PARTITION BY p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.at_ms
    ) AS legs,
    row_number() OVER (
      PARTITION BY p.tenant_id, p.is_test, p.agent_id, p.slice_at, p.at_ms ORDER BY w.span_id
    ) AS place
  FROM pieces AS p
  JOIN work AS w
    ON p.tenant_id = w.tenant_id AND p.is_test = w.is_test AND p.agent_id = w.agent_id
    AND p.slice_at = w.slice_at AND w.from_ms <= p.at_ms AND p.at_ms < w.to_ms
)
SELECT
  tenant_id, is_test, agent_id, span_id AS leg_id, slice_at,
  sum(ms / legs + CASE WHEN place = 1 THEN ms % legs ELSE 0 END) AS share_ms
FROM together
GROUP BY tenant_id, is_test, agent_id, span_id, slice_at
