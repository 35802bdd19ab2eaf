-- One row: one agent on one day with the company, of those that have begun before the data end and after
-- they begin: before :known_from nobody has told who was here. Days are those of the zone for which the
-- report is asked; the day of hire and the last one are dates, the same in every zone.
--
-- Team, site, skills and hours are those that the day ends with. An agent of whom no hire was told is here
-- from the first that was told, and of unknown tenure.
WITH stays AS (
  SELECT
    tenant_id, is_test, agent_id, hired_on, left_on, min(source) AS source,
    coalesce(report_day(hired_on), report_bucket('1d', min(valid_from))) AS begin_at,
    report_day(left_on) AS last_at,
    bool_or(voluntary) AS voluntary
  FROM facts.agents
  WHERE employed
  GROUP BY tenant_id, is_test, agent_id, hired_on, left_on
),
days AS (
  SELECT
    *,
    unnest(
      report_buckets(
        '1d',
        greatest(begin_at, :known_from),
        least(coalesce(report_next('1d', last_at), :horizon), :horizon)
      )
    ) AS day_at
  FROM stays
),
-- Time to midnight or to a change of the clocks: rounded to whole days.
aged AS (
  SELECT
    *, report_next('1d', day_at) AS day_ends_at,
    CASE
      WHEN hired_on IS NOT NULL THEN (ms_between(begin_at, day_at) + 43200000) / 86400000
    END AS tenure_days
  FROM days
)
SELECT
  d.tenant_id, d.source, d.is_test, d.agent_id, d.day_at, d.day_ends_at,
  a.team_id, a.site_id,
  CASE
    WHEN d.tenure_days <= 30 THEN '0-30d'
    WHEN d.tenure_days <= 90 THEN '31-90d'
    WHEN d.tenure_days <= 180 THEN '91-180d'
    WHEN d.tenure_days <= 365 THEN '181-365d'
    WHEN d.tenure_days <= 730 THEN '1-2y'
    WHEN d.tenure_days > 730 THEN '2y+'
  END AS tenure_band,
  d.tenure_days,
  true AS employed,
  d.hired_on IS NOT NULL AND d.day_at = d.begin_at AS hired,
  d.last_at IS NOT NULL AND d.day_at = d.last_at AS left_company,
  CASE WHEN d.day_at = d.last_at THEN d.voluntary END AS voluntary,
  a.fte, a.skills, a.skills_required
FROM aged AS d
LEFT JOIN facts.agents AS a
  ON d.tenant_id = a.tenant_id AND d.is_test = a.is_test AND d.agent_id = a.agent_id
  AND a.valid_from < d.day_ends_at AND (a.valid_to IS NULL OR a.valid_to >= d.day_ends_at)
