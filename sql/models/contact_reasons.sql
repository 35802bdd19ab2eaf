-- One row: one customer contact, with what its reason and its disposition meant when it began
-- (facts.code_map). A code of which nothing was said has no meaning: NULL.
SELECT
  i.*, r.reason_class, r.root_cause, r.owner_dept, r.avoidable,
  coalesce(d.sales_valid, false) AS sales_valid
FROM facts.interactions AS i
LEFT JOIN facts.code_map AS r
  ON i.tenant_id = r.tenant_id AND r.kind = 'reason' AND i.reason_code = r.code
  AND i.started_at >= r.valid_from AND (r.valid_to IS NULL OR i.started_at < r.valid_to)
LEFT JOIN facts.code_map AS d
  ON i.tenant_id = d.tenant_id AND d.kind = 'disposition' AND i.disposition_code = d.code
  AND i.started_at >= d.valid_from AND (d.valid_to IS NULL OR i.started_at < d.valid_to)
