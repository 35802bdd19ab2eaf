-- One row: one case, with its lengths in the hours of the calendar `default`: NULL without one, as is a
-- length that touches a time of which nothing was said.
SELECT
  c.*,
  business_ms(c.opened_at, CASE WHEN c.first_solve_ms IS NOT NULL THEN c.first_solved_at END, k.opening)
    AS first_solve_business_ms,
  business_ms(c.opened_at, CASE WHEN c.full_solve_ms IS NOT NULL THEN c.solved_at END, k.opening)
    AS full_solve_business_ms,
  business_ms(c.opened_at, CASE WHEN c.close_ms IS NOT NULL THEN c.closed_at END, k.opening)
    AS close_business_ms
FROM facts.cases AS c
LEFT JOIN facts.business_calendars AS k
  ON c.tenant_id = k.tenant_id AND k.calendar = 'default' AND NOT k.is_test
