SELECT queue_id,
       1000.0 * quantile_disc(wait_up_s, 0.5) FILTER (WHERE answered) AS p50,
       1000.0 * quantile_disc(wait_up_s, 0.9) FILTER (WHERE answered) AS p90,
       1000.0 * quantile_disc(wait_up_s, 0.95) FILTER (WHERE answered) AS p95
FROM queue_visits
WHERE NOT is_test AND visit_kind = 'customer'
GROUP BY queue_id
ORDER BY queue_id
