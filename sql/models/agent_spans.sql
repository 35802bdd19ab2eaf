-- One row: a part of an agent's time in one quarter of an hour (UTC): a status, a ring, work on a leg.
--
-- What has begun and is not over goes on until something else is told, so it counts up to :horizon,
-- up to where the data are complete. After a day it counts no more until its end is known: the fold
-- has given it up by then, unless the agent gives signs of life without ever changing what is done.
WITH open AS (
  SELECT
    *,
    ms_between(slice_at, :horizon) AS left_ms,
    unnest(range(0, (ms_between(slice_at, :horizon) + 899999) / 900000)) AS quarter
  FROM facts.agent_time
  WHERE timeline IN ('open_status', 'open_contact')
    AND slice_at >= :horizon - INTERVAL '1 day' AND slice_at < :horizon
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
FROM open
WHERE quarter > 0 OR from_ms < left_ms
