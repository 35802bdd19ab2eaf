WITH parts AS (
  SELECT queue_id,
         count(*) FILTER (WHERE answered AND wait_ms <= 20000) AS met,
         count(*) FILTER (WHERE (answered OR abandoned) AND wait_ms <= 20000) AS met_or_left,
         count(*) FILTER (WHERE (answered OR abandoned OR outcome = 'callback')
                            AND wait_ms <= 20000) AS removed,
         count(*) FILTER (WHERE answered) AS answered,
         count(*) FILTER (WHERE answered OR abandoned) AS ended,
         count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)) AS patient,
         count(*) FILTER (WHERE answered OR (abandoned AND wait_ms > 20000)) AS late,
         count(*) FILTER (WHERE answered OR flowed_out
                            OR (abandoned AND wait_ms >= 5000)) AS patient_or_flowed,
         count(*) FILTER (WHERE answered OR abandoned OR flowed_out) AS all_ends,
         count(*) FILTER (WHERE answered OR flowed_out) AS not_left
  FROM queue_visits
  WHERE NOT is_test AND visit_kind = 'customer'
  GROUP BY queue_id
)
SELECT queue_id,
       met / nullif(patient, 0) AS service_level,
       met / nullif(answered, 0) AS answered_only,
       met / nullif(ended, 0) AS all_abandons,
       met / nullif(late, 0) AS early_abandons_out,
       met_or_left / nullif(ended, 0) AS early_abandons_met,
       met / nullif(patient_or_flowed, 0) AS flow_outs,
       removed / nullif(all_ends, 0) AS removed,
       met / nullif(not_left, 0) AS no_abandons
FROM parts
ORDER BY queue_id
