SELECT channel,
       MEASURE(abandon_rate) AS abandon_rate,
       MEASURE(abandon_rate_all) AS of_all,
       MEASURE(abandon_rate_short_in_base) AS short_in_base,
       MEASURE(abandon_rate_of_offered) AS of_offered,
       MEASURE(abandon_rate_flow_outs) AS flow_outs,
       MEASURE(abandon_rate_app_queue) AS app_queue
FROM kpi.queue_visits
GROUP BY channel
ORDER BY channel
