-- One row: one contact and its part of what was posted of one kind for one day: of one pool, purpose,
-- site, queue, channel and currency. Or, with contact_no 0, such an amount for which nobody worked.
--
-- The amount is split by the contacts' shares of the agents' time in that day (leg_slices), the day being
-- one of the zone that the line was posted in. A line that names a site, a queue or a channel is split among
-- the legs of that one. Each part is the difference of two rounded running totals, by interaction_id, so the
-- parts sum to the amount exactly. Legs of any role cost. Test contacts have no part.
--
-- A day's lines of one kind are named by the least cost_id among them, which is in no other kind.
WITH days AS (
  SELECT
    *,
    -- Lines folded by an older version do not say when their day ends.
    coalesce(day_ends_at, day_at + INTERVAL '24 hours') AS until_at
  FROM facts.costs
  WHERE NOT is_test
),
lines AS (
  SELECT
    tenant_id, is_test, day_at, until_at AS day_ends_at, pool, purpose, site_id, queue_id, channel,
    currency, min(cost_id) AS cost_id, min(source) AS source, sum(amount) AS amount
  FROM days
  GROUP BY
    tenant_id, is_test, day_at, until_at, pool, purpose, site_id, queue_id, channel, currency
),
-- Days begin at a quarter of an hour in every zone. Found by equality: by comparing times every slice
-- would meet every day.
quarters AS (
  SELECT
    tenant_id, day_at, day_ends_at,
    unnest(range(0, (ms_between(day_at, day_ends_at) + 899999) / 900000)) AS quarter
  FROM (SELECT DISTINCT tenant_id, day_at, day_ends_at FROM lines) AS posted
),
work AS (
  SELECT
    q.tenant_id, q.day_at, q.day_ends_at, l.interaction_id, l.site_id, l.queue_id, l.channel,
    sum(s.share_ms) AS share_ms
  FROM (
    SELECT *, day_at + INTERVAL '15 minutes' * quarter AS slice_at FROM quarters
  ) AS q
  JOIN facts.leg_slices AS s
    ON q.tenant_id = s.tenant_id AND q.slice_at = s.slice_at
  JOIN facts.legs AS l
    ON s.tenant_id = l.tenant_id AND s.is_test = l.is_test AND s.leg_id = l.leg_id
  WHERE NOT s.is_test AND s.share_ms > 0
  GROUP BY q.tenant_id, q.day_at, q.day_ends_at, l.interaction_id, l.site_id, l.queue_id, l.channel
),
shares AS (
  SELECT c.tenant_id, c.day_at, c.cost_id, w.interaction_id, sum(w.share_ms) AS share_ms
  FROM lines AS c
  JOIN work AS w
    ON c.tenant_id = w.tenant_id AND c.day_at = w.day_at AND c.day_ends_at = w.day_ends_at
    AND (c.site_id IS NULL OR c.site_id = w.site_id)
    AND (c.queue_id IS NULL OR c.queue_id = w.queue_id)
    AND (c.channel IS NULL OR c.channel = w.channel)
  GROUP BY c.tenant_id, c.day_at, c.cost_id, w.interaction_id
),
places AS (
  SELECT
    *,
    row_number() OVER place AS contact_no,
    sum(share_ms) OVER place AS until_ms,
    sum(share_ms) OVER (PARTITION BY tenant_id, day_at, cost_id) AS all_ms
  FROM shares
  WINDOW place AS (
    PARTITION BY tenant_id, day_at, cost_id ORDER BY interaction_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
),
-- In ten-thousandths, as money is stored.
totals AS (
  SELECT
    c.*, p.interaction_id, p.share_ms, p.contact_no,
    round(
      CAST(c.amount * 10000 AS DECIMAL(38, 0)) * coalesce(p.until_ms, 1) / coalesce(p.all_ms, 1), 0
    ) AS until
  FROM lines AS c
  LEFT JOIN places AS p
    ON c.tenant_id = p.tenant_id AND c.day_at = p.day_at AND c.cost_id = p.cost_id
),
parts AS (
  SELECT
    *,
    until - coalesce(
      lag(until) OVER (PARTITION BY tenant_id, day_at, cost_id ORDER BY contact_no), 0
    ) AS part
  FROM totals
)
SELECT
  p.tenant_id, p.source, p.is_test, p.day_at, p.day_ends_at, p.pool, p.purpose,
  p.site_id AS cost_site_id, p.queue_id AS cost_queue_id, p.channel AS cost_channel,
  CAST(coalesce(p.contact_no, 0) AS BIGINT) AS contact_no, p.interaction_id,
  coalesce(p.share_ms, 0) AS share_ms,
  CAST(p.part / 10000 AS DECIMAL(18, 4)) AS amount, p.currency,
  i.started_at, i.channel, i.direction, i.entry_point, i.language, i.first_queue_id, i.first_team_id,
  i.reason_code, i.reason_class, i.root_cause, i.owner_dept, i.avoidable
FROM parts AS p
LEFT JOIN facts.contact_reasons AS i
  ON p.tenant_id = i.tenant_id AND p.is_test = i.is_test AND p.interaction_id = i.interaction_id
