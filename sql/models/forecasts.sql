-- One row: what one version expected of a queue and channel in one quarter of an hour (UTC), and what
-- came: visits of customers that were not blocked.
--
-- is_latest is the highest version that was published by the quarter's begin: what is said afterwards is
-- no forecast. On a day (UTC) with a forecast, a quarter in which somebody came and nothing was expected is
-- a row too, of version 0 that expected nobody.
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
-- Of each day one row, which says that the day has a forecast.
days AS (
  SELECT
    *, kpi_bucket(slice_at, '1d', 'UTC') AS day_at,
    row_number() OVER (
      PARTITION BY tenant_id, is_test, queue_id, channel, kpi_bucket(slice_at, '1d', 'UTC')
      ORDER BY slice_at
    ) AS place
  FROM told
  WHERE is_latest
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
  d.tenant_id, d.source, d.is_test, d.fact_rev, d.updated_at, true AS inferred, d.flags, d.queue_id,
  d.channel, c.slice_at, 0 AS version, 0 AS forecast_offered, 0 AS forecast_aht_ms,
  CASE WHEN false THEN d.required_agents END AS required_agents, d.published_at,
  c.offered AS actual_offered, c.offered AS abs_error, true AS is_latest
FROM came AS c
JOIN days AS d
  ON c.tenant_id = d.tenant_id AND c.queue_id = d.queue_id AND c.channel = d.channel
  AND kpi_bucket(c.slice_at, '1d', 'UTC') = d.day_at
LEFT JOIN told AS t
  ON c.tenant_id = t.tenant_id AND c.queue_id = t.queue_id AND c.channel = t.channel
  AND c.slice_at = t.slice_at AND t.is_latest AND NOT t.is_test
WHERE d.place = 1 AND NOT d.is_test AND t.slice_at IS NULL
