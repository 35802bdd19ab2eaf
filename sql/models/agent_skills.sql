-- One row: one skill of one agent on one day with the company (headcount): one that the agent has, should
-- have, or both.
WITH told AS (
  SELECT
    tenant_id, source, is_test, agent_id, day_at, team_id, site_id, tenure_band,
    unnest(skills) AS skill, 0 AS required, 1 AS held
  FROM facts.headcount
  UNION ALL
  SELECT
    tenant_id, source, is_test, agent_id, day_at, team_id, site_id, tenure_band,
    unnest(skills_required) AS skill, 1 AS required, 0 AS held
  FROM facts.headcount
)
SELECT
  tenant_id, source, is_test, agent_id, day_at, skill, team_id, site_id, tenure_band,
  max(required) = 1 AS required, max(held) = 1 AS held
FROM told
GROUP BY tenant_id, source, is_test, agent_id, day_at, skill, team_id, site_id, tenure_band
