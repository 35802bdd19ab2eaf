SELECT queue_id, time_bucket(INTERVAL '30 minutes', entered_at) AS period_start,
       count(*) FILTER (WHERE answered AND wait_ms <= 20000)
         / nullif(count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)), 0)
         AS service_level,
       count(*) FILTER (WHERE NOT blocked) AS offered
FROM queue_visits
WHERE NOT is_test AND visit_kind = 'customer'
  AND entered_at >= TIMESTAMPTZ '{from}' AND entered_at < TIMESTAMPTZ '{to}'
GROUP BY queue_id, period_start
ORDER BY queue_id, period_start
