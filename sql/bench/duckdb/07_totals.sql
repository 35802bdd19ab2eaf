SELECT count(*) FILTER (WHERE NOT blocked) AS offered,
       count(*) FILTER (WHERE answered) AS answered,
       count(*) FILTER (WHERE abandoned) AS abandoned,
       count(*) FILTER (WHERE answered)
         / nullif(count(*) FILTER (WHERE NOT blocked AND NOT waiting), 0) AS answer_rate,
       count(*) FILTER (WHERE answered AND wait_ms <= 20000)
         / nullif(count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)), 0)
         AS service_level,
       count(*) FILTER (WHERE abandoned AND wait_ms >= 5000)
         / nullif(count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)), 0)
         AS abandon_rate,
       sum(wait_ms) FILTER (WHERE answered) / nullif(count(*) FILTER (WHERE answered), 0) AS asa,
       sum(wait_ms) FILTER (WHERE answered OR abandoned OR flowed_out)
         / nullif(count(wait_ms) FILTER (WHERE answered OR abandoned OR flowed_out), 0) AS avg_wait,
       max(wait_ms) FILTER (WHERE NOT waiting AND NOT blocked) AS longest_wait,
       count(*) FILTER (WHERE flowed_out) / nullif(count(*) FILTER (WHERE NOT blocked), 0)
         AS flow_out_rate,
       1000.0 * quantile_disc(wait_up_s, 0.9) FILTER (WHERE answered) AS wait_p90
FROM queue_visits
WHERE NOT is_test AND visit_kind = 'customer'
