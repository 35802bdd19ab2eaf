SELECT queue_id,
       MEASURE(service_level) AS service_level,
       MEASURE(service_level_answered_only) AS answered_only,
       MEASURE(service_level_all_abandons) AS all_abandons,
       MEASURE(service_level_early_abandons_out) AS early_abandons_out,
       MEASURE(service_level_early_abandons_met) AS early_abandons_met,
       MEASURE(service_level_flow_outs) AS flow_outs,
       MEASURE(service_level_removed) AS removed,
       MEASURE(service_level_no_abandons) AS no_abandons
FROM kpi.queue_visits
GROUP BY queue_id
ORDER BY queue_id
