-- One row: one leg with its part of its agent's time (leg_slices), of all its quarters of an hour.
WITH shares AS (
  SELECT tenant_id, is_test, leg_id, sum(share_ms) AS share_ms
  FROM facts.leg_slices
  GROUP BY tenant_id, is_test, leg_id
)
SELECT l.*, coalesce(s.share_ms, 0) AS share_ms
FROM facts.legs AS l
LEFT JOIN shares AS s
  ON l.tenant_id = s.tenant_id AND l.is_test = s.is_test AND l.leg_id = s.leg_id
