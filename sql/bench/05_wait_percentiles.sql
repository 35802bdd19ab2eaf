SELECT queue_id, MEASURE(wait_p50) AS p50, MEASURE(wait_p90) AS p90, MEASURE(wait_p95) AS p95
FROM kpi.queue_visits
GROUP BY queue_id
ORDER BY queue_id
