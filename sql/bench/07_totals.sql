SELECT MEASURE(offered) AS offered, MEASURE(answered) AS answered,
       MEASURE(abandoned) AS abandoned, MEASURE(answer_rate) AS answer_rate,
       MEASURE(service_level) AS service_level, MEASURE(abandon_rate) AS abandon_rate,
       MEASURE(asa) AS asa, MEASURE(avg_wait) AS avg_wait, MEASURE(longest_wait) AS longest_wait,
       MEASURE(flow_out_rate) AS flow_out_rate, MEASURE(wait_p90) AS wait_p90
FROM kpi.queue_visits
