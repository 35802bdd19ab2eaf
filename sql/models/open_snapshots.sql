-- One row: what was open of one kind, queue and channel at the end of one quarter of an hour (UTC), as_of;
-- its begin, slice_at, decides the bucket. Only quarters that were over at :horizon have a row.
--
-- * visit: waited for an agent, as on the live board: not one sent away at the door, nor an agent's own
--   search for a colleague.
-- * callback, voicemail: asked for and neither answered nor closed.
-- * case: not solved. Between a solution and the reopening it counts as open, because facts tell only the
--   last solution.
--
-- What begins at as_of belongs to the next quarter, and so does what ends then: the open ones at the begin
-- of a stretch, those that came in it and less those that went in it are the open ones at its end. What
-- ended and nobody knows when (a status of a case without its history) is in no row.
--
-- There is a row for each quarter in which something was open, also the one in which the last of it ended:
-- there is then nothing open, so the latest row of a series says what is open whenever it is asked. Counts
-- are running sums of begins and ends, at the price of the rows of facts and not of the time they were open.
-- The oldest at a moment is the first by begin that has not ended, so the stretches in which each is the
-- oldest do not overlap, and only these are cut into quarters.
WITH spans AS (
  SELECT
    tenant_id, is_test, 'visit' AS kind, queue_id, channel, entered_at AS since, left_at AS until
  FROM facts.queue_visits
  WHERE visit_kind <> 'internal' AND NOT blocked AND (waiting OR left_at IS NOT NULL)
  UNION ALL
  SELECT
    tenant_id, is_test, kind, queue_id, channel, requested_at AS since,
    least(connected_at, closed_at) AS until
  FROM facts.callbacks
  WHERE outcome IS NULL OR connected_at IS NOT NULL OR closed_at IS NOT NULL
  UNION ALL
  SELECT
    tenant_id, is_test, 'case' AS kind, NULL AS queue_id, channel, opened_at AS since,
    CASE WHEN NOT is_open THEN solved_at END AS until
  FROM facts.cases
  WHERE is_open OR solved_at IS NOT NULL
),
items AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, since, until,
    kpi_bucket(since, '15m', 'UTC') AS since_slice,
    kpi_bucket(until, '15m', 'UTC') AS until_slice
  FROM spans
  WHERE since < :horizon AND (until IS NULL OR until > since)
),
-- What an item adds to its quarters: one from its begin on, and its time to the end of that quarter; one less
-- from its end on, and less the time from there.
changes AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, since_slice AS slice_at, 1 AS change,
    900000 - ms_between(since_slice, since) AS ms, nullif(since, since) AS oldest_since
  FROM items
  UNION ALL
  SELECT
    tenant_id, is_test, kind, queue_id, channel, until_slice AS slice_at, -1 AS change,
    ms_between(until_slice, until) - 900000 AS ms, nullif(since, since) AS oldest_since
  FROM items
  WHERE until IS NOT NULL
),
-- Until when one of the items that began before was open.
covered AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, since, coalesce(until, :horizon) AS until,
    max(coalesce(until, :horizon)) OVER (
      PARTITION BY tenant_id, is_test, kind, queue_id, channel ORDER BY since, until
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before_until
  FROM items
),
oldest AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, since, least(until, :horizon) AS until,
    greatest(since, before_until) AS from_at,
    kpi_bucket(greatest(since, before_until), '15m', 'UTC') AS from_slice
  FROM covered
  WHERE (before_until IS NULL OR until > before_until) AND greatest(since, before_until) < :horizon
),
quarters AS (
  SELECT *, unnest(range(0, ms_between(from_slice, until) / 900000 + 1)) AS quarter FROM oldest
),
grid AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, since, from_at, until,
    from_slice + INTERVAL '15 minutes' * quarter AS slice_at,
    from_slice + INTERVAL '15 minutes' * (quarter + 1) AS as_of
  FROM quarters
),
changed AS (
  SELECT
    tenant_id, is_test, kind, queue_id, channel, slice_at,
    sum(change) AS change, sum(ms) AS ms, max(oldest_since) AS oldest_since
  FROM (
    SELECT * FROM changes
    UNION ALL
    SELECT
      tenant_id, is_test, kind, queue_id, channel, slice_at, 0 AS change, 0 AS ms,
      CASE WHEN from_at < as_of AND until >= as_of THEN since END AS oldest_since
    FROM grid
  ) AS steps
  GROUP BY tenant_id, is_test, kind, queue_id, channel, slice_at
),
counted AS (
  SELECT
    *,
    sum(change) OVER (
      PARTITION BY tenant_id, is_test, kind, queue_id, channel ORDER BY slice_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS open_count
  FROM changed
)
SELECT
  tenant_id, is_test, kind, queue_id, channel,
  -- Never NULL, which the planner does not see of what is unnested.
  coalesce(slice_at, to_timestamp(0)) AS slice_at,
  slice_at + INTERVAL '15 minutes' AS as_of,
  -- Names one line of rows: a queue and a tenant may have any name, the others have no such mark in theirs.
  concat(kind, '/', channel, '/', length(tenant_id), '/', tenant_id, '/', queue_id) AS series,
  open_count, oldest_since,
  ms_between(oldest_since, slice_at + INTERVAL '15 minutes') AS oldest_ms,
  (open_count - change) * 900000 + ms AS open_ms
FROM counted
WHERE slice_at <= :horizon - INTERVAL '15 minutes'
