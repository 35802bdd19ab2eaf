-- One row: what one version expected of a queue and channel in one quarter of an hour (UTC), and what
-- came: visits of customers that were not blocked.
WITH came AS (
  SELECT
    tenant_id, queue_id, channel, kpi_bucket(entered_at, '15m', 'UTC') AS slice_at,
    count(*) AS offered
  FROM facts.queue_visits
  WHERE visit_kind = 'customer' AND NOT blocked AND NOT is_test
  GROUP BY tenant_id, queue_id, channel, kpi_bucket(entered_at, '15m', 'UTC')
)
SELECT
  f.*, coalesce(c.offered, 0) AS actual_offered,
  abs(f.forecast_offered - coalesce(c.offered, 0)) AS abs_error,
  row_number() OVER (
    PARTITION BY f.tenant_id, f.is_test, f.queue_id, f.channel, f.slice_at ORDER BY f.version DESC
  ) = 1 AS is_latest
FROM facts.forecasts AS f
LEFT JOIN came AS c
  ON f.tenant_id = c.tenant_id AND f.queue_id = c.queue_id AND f.channel = c.channel
  AND f.slice_at = c.slice_at
