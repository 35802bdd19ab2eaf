-- One row: what one version expected of a queue and channel in one quarter of an hour (UTC), and what
-- came: visits of customers that were not blocked.
--
-- is_latest is the highest version that was published by the quarter's begin: what is said afterwards is
-- no forecast. A quarter in which somebody came and nothing was expected is a row too, of version 0 that
-- expected nobody, if it lies in a gap of less than 8 hours between two quarters with a forecast: a longer
-- one is the night, for which nobody has forecast anything.
WITH came AS (
  SELECT
    tenant_id, queue_id, channel, kpi_bucket(entered_at, '15m', 'UTC') AS slice_at,
    count(*) AS offered
  FROM facts.queue_visits
  WHERE visit_kind = 'customer' AND NOT blocked AND NOT is_test
  GROUP BY tenant_id, queue_id, channel, kpi_bucket(entered_at, '15m', 'UTC')
),
told AS (
  SELECT
    *,
    published_at <= slice_at AND row_number() OVER (
      PARTITION BY tenant_id, is_test, queue_id, channel, slice_at
      ORDER BY published_at <= slice_at DESC, version DESC
    ) = 1 AS is_latest
  FROM facts.forecasts
),
-- Each quarter with a forecast, and the next one.
nexts AS (
  SELECT
    *, lead(slice_at) OVER (
      PARTITION BY tenant_id, is_test, queue_id, channel ORDER BY slice_at
    ) AS next_at
  FROM told
  WHERE is_latest
),
-- Quarters that touch have nothing between them. Taken out here: what is left of an equality is queue and
-- channel, and with them every quarter somebody came in would meet every quarter of the forecast.
gaps AS (
  SELECT *
  FROM nexts
  WHERE NOT is_test AND next_at > slice_at + INTERVAL '15 minutes'
    AND next_at < slice_at + INTERVAL '8 hours'
)
SELECT
  t.tenant_id, t.source, t.is_test, t.fact_rev, t.updated_at, t.inferred, t.flags, t.queue_id, t.channel,
  t.slice_at, t.version, t.forecast_offered, t.forecast_aht_ms, t.required_agents, t.published_at,
  coalesce(c.offered, 0) AS actual_offered,
  abs(t.forecast_offered - coalesce(c.offered, 0)) AS abs_error,
  t.is_latest
FROM told AS t
LEFT JOIN came AS c
  ON t.tenant_id = c.tenant_id AND t.queue_id = c.queue_id AND t.channel = c.channel
  AND t.slice_at = c.slice_at
UNION ALL
SELECT
  g.tenant_id, g.source, g.is_test, g.fact_rev, g.updated_at, true AS inferred, g.flags, g.queue_id,
  g.channel, c.slice_at, 0 AS version, 0 AS forecast_offered, 0 AS forecast_aht_ms,
  CASE WHEN false THEN g.required_agents END AS required_agents, g.published_at,
  c.offered AS actual_offered, c.offered AS abs_error, true AS is_latest
FROM came AS c
JOIN gaps AS g
  ON c.tenant_id = g.tenant_id AND c.queue_id = g.queue_id AND c.channel = g.channel
  AND c.slice_at > g.slice_at AND c.slice_at < g.next_at
