SELECT queue_id, kpi_bucket(entered_at, '30m', 'UTC') AS period_start,
       MEASURE(service_level) AS service_level, MEASURE(offered) AS offered
FROM kpi.queue_visits
WHERE visit_kind = 'customer'
  AND entered_at >= TIMESTAMP '{from}' AND entered_at < TIMESTAMP '{to}'
GROUP BY queue_id, period_start
ORDER BY queue_id, period_start
