SELECT channel, queue_id, MEASURE(service_level) AS service_level,
       MEASURE(abandon_rate) AS abandon_rate, MEASURE(offered) AS offered
FROM kpi.queue_visits
GROUP BY ROLLUP (channel, queue_id)
ORDER BY channel, queue_id
