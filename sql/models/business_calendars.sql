-- One row: one calendar with all that was ever said about its hours, as business_ms() reads it.
SELECT
  tenant_id, is_test, calendar, min(valid_from) AS valid_from,
  string_agg(
    concat(
      CAST(valid_from AS BIGINT), '|', coalesce(CAST(CAST(valid_to AS BIGINT) AS VARCHAR), ''), '|',
      coalesce(zone, ''), '|', day, '|', coalesce(hours, '')
    ),
    chr(10) ORDER BY day, valid_from
  ) AS opening
FROM facts.calendars
GROUP BY tenant_id, is_test, calendar
