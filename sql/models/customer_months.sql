-- One row: one customer in one month of the zone for which the report is asked, if the customer was
-- active at some time of it. Months that end before the data begin (:known_from) are left out: of then
-- only those are known who stayed.
--
-- The month begins with what a customer was just before it and ends with what came of all changes in it,
-- so the end of one is the start of the next: who leaves at midnight of the first leaves in that month.
-- joined is the month in which a customer became active for the first time. Recurring value is that of an
-- active customer, 0 of one who is not; where its currency has changed within the month both are unknown.
-- Contacts came to us in the month, without duplicates and spam; contacted says that an agent took one.
WITH people AS (
  SELECT
    tenant_id, is_test, customer_id, min(source) AS source,
    min(CASE WHEN status = 'active' THEN valid_from END) AS first_at
  FROM facts.customers
  GROUP BY tenant_id, is_test, customer_id
),
-- A stretch that ends at midnight of the first still belongs to the month that then begins.
touched AS (
  SELECT
    tenant_id, is_test, customer_id,
    unnest(
      report_buckets(
        '1mo',
        greatest(valid_from, report_bucket('1mo', :known_from)),
        least(coalesce(valid_to + INTERVAL '1 microsecond', :horizon), :horizon)
      )
    ) AS month_at
  FROM facts.customers
  WHERE status = 'active'
),
months AS (
  SELECT DISTINCT
    tenant_id, is_test, customer_id, month_at, report_next('1mo', month_at) AS month_ends_at
  FROM touched
),
came AS (
  SELECT
    tenant_id, customer_id, report_bucket('1mo', started_at) AS month_at,
    count(*) AS contacts, bool_or(handled) AS contacted
  FROM facts.interactions
  WHERE customer_id IS NOT NULL AND direction = 'inbound' AND NOT duplicate AND NOT spam AND NOT is_test
  GROUP BY tenant_id, customer_id, report_bucket('1mo', started_at)
),
-- What the customer was at both ends.
ends AS (
  SELECT
    m.*,
    coalesce(s.status = 'active', false) AS active_start,
    coalesce(e.status = 'active', false) AS active_end,
    s.recurring_value AS value_start, e.recurring_value AS value_end,
    s.currency AS currency_start, e.currency AS currency_end,
    s.segment AS segment_start, e.segment AS segment_end,
    s.currency <> e.currency AS mixed
  FROM months AS m
  LEFT JOIN facts.customers AS s
    ON m.tenant_id = s.tenant_id AND m.is_test = s.is_test AND m.customer_id = s.customer_id
    AND s.valid_from < m.month_at AND (s.valid_to IS NULL OR s.valid_to >= m.month_at)
  LEFT JOIN facts.customers AS e
    ON m.tenant_id = e.tenant_id AND m.is_test = e.is_test AND m.customer_id = e.customer_id
    AND e.valid_from < m.month_ends_at AND (e.valid_to IS NULL OR e.valid_to >= m.month_ends_at)
)
SELECT
  x.tenant_id, p.source, x.is_test, x.customer_id, x.month_at, x.month_ends_at,
  coalesce(x.segment_start, x.segment_end) AS segment,
  x.active_start, x.active_end,
  coalesce(p.first_at >= x.month_at AND p.first_at < x.month_ends_at, false) AS joined,
  CASE WHEN p.first_at >= x.month_at AND p.first_at < x.month_ends_at THEN p.first_at END AS joined_at,
  coalesce(c.contacted, false) AS contacted,
  coalesce(c.contacts, 0) AS contacts,
  CASE
    WHEN coalesce(x.mixed, false) THEN NULL
    WHEN x.active_start THEN x.value_start
    WHEN x.value_start IS NOT NULL THEN CAST(0 AS DECIMAL(18, 4))
  END AS recurring_start,
  CASE
    WHEN coalesce(x.mixed, false) THEN NULL
    WHEN x.active_end THEN x.value_end
    WHEN x.value_end IS NOT NULL THEN CAST(0 AS DECIMAL(18, 4))
  END AS recurring_end,
  coalesce(x.currency_start, x.currency_end) AS currency
FROM ends AS x
JOIN people AS p
  ON x.tenant_id = p.tenant_id AND x.is_test = p.is_test AND x.customer_id = p.customer_id
LEFT JOIN came AS c
  ON x.tenant_id = c.tenant_id AND x.customer_id = c.customer_id AND x.month_at = c.month_at
