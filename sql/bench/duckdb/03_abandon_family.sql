WITH parts AS (
  SELECT channel,
         count(*) FILTER (WHERE abandoned) AS abandoned,
         count(*) FILTER (WHERE abandoned AND wait_ms >= 5000) AS patient,
         count(*) FILTER (WHERE abandoned OR outcome IN ('timeout', 'leave_empty')) AS lost,
         count(*) FILTER (WHERE answered) AS answered,
         count(*) FILTER (WHERE flowed_out) AS flowed,
         count(*) FILTER (WHERE answered OR abandoned
                            OR outcome IN ('timeout', 'leave_empty')) AS answered_or_lost
  FROM queue_visits
  WHERE NOT is_test AND visit_kind = 'customer'
  GROUP BY channel
)
SELECT channel,
       patient / nullif(answered + patient, 0) AS abandon_rate,
       abandoned / nullif(answered + abandoned, 0) AS of_all,
       patient / nullif(answered + abandoned, 0) AS short_in_base,
       abandoned / nullif(answered + abandoned + flowed, 0) AS of_offered,
       patient / nullif(answered + flowed + patient, 0) AS flow_outs,
       lost / nullif(answered_or_lost, 0) AS app_queue
FROM parts
ORDER BY channel
