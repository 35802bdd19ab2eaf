-- One row: one callback or voicemail, with the time to its return in the hours of the calendar of the site
-- that its visit came to, or of the calendar `default` if that site has none: NULL without one.
SELECT
  c.*,
  business_ms(
    c.requested_at, CASE WHEN c.wait_from_request_ms IS NOT NULL THEN c.connected_at END,
    coalesce(s.opening, d.opening)
  ) AS business_ms
FROM facts.callbacks AS c
LEFT JOIN facts.queue_visits AS v ON c.tenant_id = v.tenant_id AND c.visit_id = v.visit_id
LEFT JOIN facts.business_calendars AS s
  ON c.tenant_id = s.tenant_id AND v.site_id = s.calendar AND NOT s.is_test
LEFT JOIN facts.business_calendars AS d
  ON c.tenant_id = d.tenant_id AND d.calendar = 'default' AND NOT d.is_test
