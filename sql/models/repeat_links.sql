-- One row: one handled inbound contact of a known customer, in one scope, with the gap to the
-- customer's contact before it and after it in that scope.
--
-- * scope 'issue': contacts with the same reason; a contact without a reason has no row.
-- * scope 'any': all contacts of the customer.
-- * scope 'any_attempt': the next contact may also be an attempt that no agent handled
--   (abandoned, or served by the machine); the one before is a handled contact.
--
-- One root_id is one contact: a call and its callback are not a repeat. Its time, channel and
-- first agent are those of its first interaction, and it is inbound if that one was.
-- Gaps are whole milliseconds between starts; equal starts are ordered by interaction_id.
-- Test contacts have links among themselves only.
WITH contacts AS (
  SELECT
    tenant_id, is_test, root_id,
    first_value(source ORDER BY started_at, interaction_id) AS source,
    first_value(interaction_id ORDER BY started_at, interaction_id) AS interaction_id,
    min(started_at) AS contact_at,
    first_value(customer_id ORDER BY customer_id IS NULL, started_at, interaction_id)
      AS customer_id,
    first_value(direction ORDER BY started_at, interaction_id) AS direction,
    first_value(channel ORDER BY started_at, interaction_id) AS channel,
    first_value(reason_code ORDER BY reason_code IS NULL, started_at, interaction_id)
      AS reason_code,
    first_value(first_queue_id ORDER BY first_queue_id IS NULL, started_at, interaction_id)
      AS queue_id,
    first_value(first_agent_id ORDER BY first_agent_id IS NULL, started_at, interaction_id)
      AS agent_id,
    first_value(first_team_id ORDER BY first_agent_id IS NULL, started_at, interaction_id)
      AS team_id,
    bool_or(handled) AS handled,
    coalesce(bool_or(not_resolvable_first), false) AS not_resolvable_first
  FROM facts.interactions
  GROUP BY tenant_id, is_test, root_id
),
inbound AS (
  SELECT * FROM contacts WHERE direction = 'inbound' AND customer_id IS NOT NULL
),
handled_only AS (
  SELECT * FROM inbound WHERE handled
),
linked AS (
  SELECT
    'issue' AS scope, *,
    lag(interaction_id) OVER issue AS prev_interaction_id,
    lag(contact_at) OVER issue AS prev_at,
    lead(interaction_id) OVER issue AS next_interaction_id,
    lead(contact_at) OVER issue AS next_at
  FROM handled_only
  WHERE reason_code IS NOT NULL
  WINDOW issue AS (
    PARTITION BY tenant_id, is_test, customer_id, reason_code ORDER BY contact_at, interaction_id
  )
  UNION ALL
  SELECT
    'any' AS scope, *,
    lag(interaction_id) OVER customer AS prev_interaction_id,
    lag(contact_at) OVER customer AS prev_at,
    lead(interaction_id) OVER customer AS next_interaction_id,
    lead(contact_at) OVER customer AS next_at
  FROM handled_only
  WINDOW customer AS (
    PARTITION BY tenant_id, is_test, customer_id ORDER BY contact_at, interaction_id
  )
  UNION ALL
  SELECT
    'any_attempt' AS scope, *,
    last_value(CASE WHEN handled THEN interaction_id END) IGNORE NULLS OVER (
      PARTITION BY tenant_id, is_test, customer_id ORDER BY contact_at, interaction_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS prev_interaction_id,
    last_value(CASE WHEN handled THEN contact_at END) IGNORE NULLS OVER (
      PARTITION BY tenant_id, is_test, customer_id ORDER BY contact_at, interaction_id
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS prev_at,
    lead(interaction_id) OVER customer AS next_interaction_id,
    lead(contact_at) OVER customer AS next_at
  FROM inbound
  WINDOW customer AS (
    PARTITION BY tenant_id, is_test, customer_id ORDER BY contact_at, interaction_id
  )
)
SELECT
  tenant_id, source, is_test, interaction_id, root_id, scope, contact_at, customer_id, queue_id,
  agent_id, team_id, channel, reason_code, not_resolvable_first,
  prev_interaction_id, ms_between(prev_at, contact_at) AS prev_gap_ms,
  next_interaction_id, ms_between(contact_at, next_at) AS next_gap_ms
FROM linked
WHERE handled
