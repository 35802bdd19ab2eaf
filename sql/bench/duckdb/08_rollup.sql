SELECT channel, queue_id,
       count(*) FILTER (WHERE answered AND wait_ms <= 20000)
         / nullif(count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)), 0)
         AS service_level,
       count(*) FILTER (WHERE abandoned AND wait_ms >= 5000)
         / nullif(count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)), 0)
         AS abandon_rate,
       count(*) FILTER (WHERE NOT blocked) AS offered
FROM queue_visits
WHERE NOT is_test AND visit_kind = 'customer'
GROUP BY ROLLUP (channel, queue_id)
ORDER BY channel, queue_id
