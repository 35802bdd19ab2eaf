-- One row: one complaint of a known customer, with the time since the customer's complaint before it.
--
-- One root_id is one complaint: what a call and its callback say about it is said once, and its time,
-- channel and first agent are those of its first complaining contact. Duplicates and spam are none. Gaps
-- are whole milliseconds between starts; equal starts are ordered by interaction_id.
WITH complaints AS (
  SELECT
    tenant_id, is_test, root_id,
    first_value(source ORDER BY started_at, interaction_id) AS source,
    first_value(interaction_id ORDER BY started_at, interaction_id) AS interaction_id,
    min(started_at) AS complaint_at,
    first_value(customer_id ORDER BY customer_id IS NULL, started_at, interaction_id)
      AS customer_id,
    first_value(channel ORDER BY started_at, interaction_id) AS channel,
    first_value(direction ORDER BY started_at, interaction_id) AS direction,
    first_value(reason_code ORDER BY reason_code IS NULL, started_at, interaction_id)
      AS reason_code,
    first_value(first_queue_id ORDER BY first_queue_id IS NULL, started_at, interaction_id)
      AS first_queue_id,
    first_value(first_agent_id ORDER BY first_agent_id IS NULL, started_at, interaction_id)
      AS first_agent_id,
    first_value(first_team_id ORDER BY first_agent_id IS NULL, started_at, interaction_id)
      AS first_team_id
  FROM facts.interactions
  WHERE complaint AND NOT duplicate AND NOT spam
  GROUP BY tenant_id, is_test, root_id
),
followed AS (
  SELECT
    *,
    lag(interaction_id) OVER customer AS prev_interaction_id,
    lag(complaint_at) OVER customer AS prev_at
  FROM complaints
  WHERE customer_id IS NOT NULL
  WINDOW customer AS (
    PARTITION BY tenant_id, is_test, customer_id ORDER BY complaint_at, interaction_id
  )
)
SELECT
  tenant_id, source, is_test, interaction_id, root_id, complaint_at, customer_id, channel, direction,
  reason_code, first_queue_id, first_agent_id, first_team_id, prev_interaction_id,
  ms_between(prev_at, complaint_at) AS prev_gap_ms
FROM followed
