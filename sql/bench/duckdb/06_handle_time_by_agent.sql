SELECT agent_id,
       count(*) FILTER (WHERE handled) AS handled,
       sum(handle_ms) / nullif(count(*) FILTER (WHERE handled), 0) AS aht,
       sum(talk_ms) / nullif(count(*) FILTER (WHERE handled), 0) AS avg_talk,
       sum(hold_ms) / nullif(count(*) FILTER (WHERE handled), 0) AS avg_hold,
       sum(acw_ms) / nullif(count(*) FILTER (WHERE handled), 0) AS avg_acw
FROM legs
WHERE NOT is_test AND role NOT IN ('monitor', 'barge') AND completed_at IS NOT NULL
GROUP BY agent_id
ORDER BY agent_id
