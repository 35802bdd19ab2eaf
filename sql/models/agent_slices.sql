-- One row: one agent in one quarter of an hour (UTC) in which the agent was there.
--
-- An agent is there while a status was told, while it rings, and at work on a contact. Each
-- millisecond of that goes to exactly one of eight states, in this order: on_contact, ring, then what
-- the status says (idle is available without work). So the eight sum to logged_in_ms. Work during a
-- break is on_contact, and shown again in conflict_ms.
--
-- What is not over counts up to where the data are complete (agent_spans). The spans are cut at the
-- quarters and every step below keeps quarters apart, so a question about a day reads that day, and of
-- the last day what is not over.
WITH marks AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, from_ms AS at_ms, timeline, state, 1 AS step,
    productive, paid, slots, offers, offers_missed, team_id, site_id, tenure_band
  FROM facts.agent_spans
  UNION ALL
  SELECT
    tenant_id, is_test, agent_id, slice_at, to_ms AS at_ms, timeline, state, -1 AS step,
    productive, paid, slots, 0 AS offers, 0 AS offers_missed, team_id, site_id, tenure_band
  FROM facts.agent_spans
),
-- What begins and ends at each moment.
moments AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, at_ms,
    sum(CASE WHEN timeline = 'contact' THEN step ELSE 0 END) AS contacts,
    sum(CASE WHEN timeline = 'ring' THEN step ELSE 0 END) AS rings,
    sum(CASE WHEN timeline = 'status' THEN step ELSE 0 END) AS told,
    sum(CASE WHEN state = 'available' THEN step ELSE 0 END) AS available,
    sum(CASE WHEN state = 'available' THEN step * coalesce(slots, 0) ELSE 0 END) AS slots,
    sum(CASE WHEN state = 'break' THEN step ELSE 0 END) AS breaks,
    sum(CASE WHEN state = 'meal' THEN step ELSE 0 END) AS meals,
    sum(CASE WHEN state = 'training' THEN step ELSE 0 END) AS trainings,
    sum(CASE WHEN state = 'meeting' THEN step ELSE 0 END) AS meetings,
    sum(CASE WHEN state = 'outbound' THEN step ELSE 0 END) AS outbound,
    sum(CASE WHEN timeline = 'status' AND productive THEN step ELSE 0 END) AS productive,
    sum(CASE WHEN timeline = 'status' AND NOT paid THEN step ELSE 0 END) AS unpaid,
    sum(offers) AS offers,
    sum(offers_missed) AS offers_missed,
    max(team_id) AS team_id,
    max(site_id) AS site_id,
    max(tenure_band) AS tenure_band
  FROM marks
  GROUP BY tenant_id, is_test, agent_id, slice_at, at_ms
),
-- What holds from each moment to the next.
steps AS (
  SELECT
    tenant_id, is_test, agent_id, slice_at, offers, offers_missed, team_id, site_id, tenure_band,
    coalesce(lead(at_ms) OVER quarter, at_ms) - at_ms AS ms,
    sum(contacts) OVER quarter AS contacts,
    sum(rings) OVER quarter AS rings,
    sum(told) OVER quarter AS told,
    sum(available) OVER quarter AS available,
    sum(slots) OVER quarter AS slots,
    sum(breaks) OVER quarter AS breaks,
    sum(meals) OVER quarter AS meals,
    sum(trainings) OVER quarter AS trainings,
    sum(meetings) OVER quarter AS meetings,
    sum(outbound) OVER quarter AS outbound,
    sum(productive) OVER quarter AS productive,
    sum(unpaid) OVER quarter AS unpaid
  FROM moments
  WINDOW quarter AS (
    PARTITION BY tenant_id, is_test, agent_id, slice_at ORDER BY at_ms
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
states AS (
  SELECT
    *,
    CASE
      WHEN contacts > 0 THEN 'on_contact'
      WHEN rings > 0 THEN 'ring'
      WHEN available > 0 THEN 'idle'
      WHEN breaks > 0 THEN 'break'
      WHEN meals > 0 THEN 'meal'
      WHEN trainings > 0 THEN 'training'
      WHEN meetings > 0 THEN 'meeting'
      WHEN told > 0 THEN 'other'
    END AS doing,
    told > 0 AND available = 0 AND outbound = 0 AS elsewhere
  FROM steps
)
SELECT
  tenant_id, is_test, agent_id, slice_at,
  max(team_id) AS team_id,
  max(site_id) AS site_id,
  max(tenure_band) AS tenure_band,
  sum(CASE WHEN doing IS NOT NULL THEN ms ELSE 0 END) AS logged_in_ms,
  sum(CASE WHEN doing IN ('on_contact', 'ring') OR (doing IS NOT NULL AND unpaid = 0) THEN ms ELSE 0 END)
    AS paid_ms,
  sum(
    CASE
      WHEN doing IN ('on_contact', 'ring') OR (doing NOT IN ('break', 'meal') AND unpaid = 0) THEN ms
      ELSE 0
    END
  ) AS paid_work_ms,
  sum(CASE WHEN available > 0 THEN ms ELSE 0 END) AS available_ms,
  sum(CASE WHEN doing = 'idle' THEN ms ELSE 0 END) AS idle_ms,
  sum(CASE WHEN doing = 'on_contact' THEN ms ELSE 0 END) AS on_contact_ms,
  sum(CASE WHEN doing = 'ring' THEN ms ELSE 0 END) AS ring_ms,
  sum(CASE WHEN doing = 'break' THEN ms ELSE 0 END) AS break_ms,
  sum(CASE WHEN doing = 'meal' THEN ms ELSE 0 END) AS meal_ms,
  sum(CASE WHEN doing = 'training' THEN ms ELSE 0 END) AS training_ms,
  sum(CASE WHEN doing = 'meeting' THEN ms ELSE 0 END) AS meeting_ms,
  sum(CASE WHEN doing = 'other' THEN ms ELSE 0 END) AS other_ms,
  sum(CASE WHEN doing NOT IN ('on_contact', 'ring', 'idle') AND productive > 0 THEN ms ELSE 0 END)
    AS productive_other_ms,
  sum(CASE WHEN doing IN ('on_contact', 'ring') AND elsewhere THEN ms ELSE 0 END) AS conflict_ms,
  sum(contacts * ms) AS contact_sum_ms,
  sum(slots * ms) AS capacity_ms,
  sum(CASE WHEN contacts = 1 THEN ms ELSE 0 END) AS conc_1_ms,
  sum(CASE WHEN contacts = 2 THEN ms ELSE 0 END) AS conc_2_ms,
  sum(CASE WHEN contacts = 3 THEN ms ELSE 0 END) AS conc_3_ms,
  sum(CASE WHEN contacts > 3 THEN ms ELSE 0 END) AS conc_more_ms,
  sum(offers) AS offers,
  sum(offers_missed) AS offers_missed
FROM states
GROUP BY tenant_id, is_test, agent_id, slice_at
