-- One row: a part of an agent's time in one quarter of an hour (UTC): a status, a ring, work on a leg.
--
-- What has begun and is not over goes on until something else is told, so it counts up to :horizon,
-- up to where the data are complete. After a day it counts no more until its end is known: the fold
-- has given it up by then, unless the agent gives signs of life without ever changing what is done. Of a
-- contact whose end was never told nothing counts after its agent has left.
WITH open AS (
  SELECT *, slice_at + INTERVAL '1 millisecond' * from_ms AS begin_at
  FROM facts.agent_time
  WHERE timeline IN ('open_status', 'open_contact')
    AND slice_at >= :horizon - INTERVAL '1 day' AND slice_at < :horizon
),
-- Statuses of the agents, and the begin of the next one. One that goes on has no end.
statuses AS (
  SELECT
    tenant_id, is_test, agent_id,
    CASE WHEN timeline = 'status' THEN slice_at + INTERVAL '1 millisecond' * to_ms END AS end_at,
    lead(slice_at + INTERVAL '1 millisecond' * from_ms) OVER (
      PARTITION BY tenant_id, is_test, agent_id ORDER BY slice_at, from_ms
    ) AS next_at
  FROM facts.agent_time
  WHERE timeline IN ('status', 'open_status') AND slice_at >= :horizon - INTERVAL '1 day'
),
-- When the agent of an open contact left for the first time after its begin.
gone AS (
  SELECT o.tenant_id, o.is_test, o.agent_id, o.span_id, min(s.end_at) AS gone_at
  FROM open AS o
  JOIN statuses AS s
    ON o.tenant_id = s.tenant_id AND o.is_test = s.is_test AND o.agent_id = s.agent_id
    AND s.end_at > o.begin_at
  WHERE o.timeline = 'open_contact' AND (s.next_at IS NULL OR s.next_at > s.end_at)
  GROUP BY o.tenant_id, o.is_test, o.agent_id, o.span_id
),
going_on AS (
  SELECT
    o.*, ms_between(o.slice_at, least(coalesce(g.gone_at, :horizon), :horizon)) AS left_ms
  FROM open AS o
  LEFT JOIN gone AS g
    ON o.tenant_id = g.tenant_id AND o.is_test = g.is_test AND o.agent_id = g.agent_id
    AND o.span_id = g.span_id AND o.timeline = 'open_contact'
),
quarters AS (
  SELECT *, unnest(range(0, (left_ms + 899999) / 900000)) AS quarter FROM going_on
)
SELECT
  tenant_id, is_test, agent_id, timeline, span_id, slice_at, from_ms, to_ms, state, productive, paid,
  offers, offers_missed, slots, team_id, site_id, tenure_band
FROM facts.agent_time
WHERE timeline NOT IN ('open_status', 'open_contact')
UNION ALL
SELECT
  tenant_id, is_test, agent_id, substr(timeline, 6) AS timeline, span_id,
  -- Never NULL, which the planner does not see of what is unnested.
  coalesce(slice_at + INTERVAL '15 minutes' * quarter, slice_at) AS slice_at,
  CASE WHEN quarter = 0 THEN from_ms ELSE 0 END AS from_ms,
  least(left_ms - 900000 * quarter, 900000) AS to_ms,
  state, productive, paid, offers, offers_missed, slots, team_id, site_id, tenure_band
FROM quarters
WHERE quarter > 0 OR from_ms < left_ms
