SELECT time_bucket(INTERVAL '1 hour', entered_at) AS period_start,
       sum(wait_ms) FILTER (WHERE answered) / nullif(count(*) FILTER (WHERE answered), 0) AS asa,
       sum(wait_ms) FILTER (WHERE answered OR abandoned OR flowed_out)
         / nullif(count(wait_ms) FILTER (WHERE answered OR abandoned OR flowed_out), 0) AS avg_wait,
       max(wait_ms) FILTER (WHERE NOT waiting AND NOT blocked) AS longest_wait
FROM queue_visits
WHERE NOT is_test AND visit_kind = 'customer'
GROUP BY period_start
ORDER BY period_start
