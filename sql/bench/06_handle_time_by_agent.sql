SELECT agent_id, MEASURE(handled) AS handled, MEASURE(aht) AS aht, MEASURE(avg_talk) AS avg_talk,
       MEASURE(avg_hold) AS avg_hold, MEASURE(avg_acw) AS avg_acw
FROM kpi.legs
GROUP BY agent_id
ORDER BY agent_id
