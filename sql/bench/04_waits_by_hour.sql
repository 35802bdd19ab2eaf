SELECT kpi_bucket(entered_at, '1h', 'UTC') AS period_start,
       MEASURE(asa) AS asa, MEASURE(avg_wait) AS avg_wait, MEASURE(longest_wait) AS longest_wait
FROM kpi.queue_visits
WHERE visit_kind = 'customer'
GROUP BY period_start
ORDER BY period_start
