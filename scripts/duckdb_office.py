"""KPIs of agents with the company, customers by the month, complaints and what contacts cost, for
`duckdb_check.py`: made of the same files in DuckDB, by looking for what holds instead of following it."""

DAY_MS = 86_400_000

# Complaints of known customers, a root once, with the time since the one before.
COMPLAINED = """
CREATE TABLE complained AS
WITH said AS (
  SELECT *, row_number() OVER (PARTITION BY tenant_id, is_test, root_id
                               ORDER BY started_at, interaction_id) AS place
  FROM interactions WHERE complaint AND NOT duplicate AND NOT spam
),
roots AS (
  SELECT tenant_id, is_test, root_id, arg_min(customer_id, place) AS customer_id,
         max(channel) FILTER (WHERE place = 1) AS channel,
         max(interaction_id) FILTER (WHERE place = 1) AS interaction_id,
         min(started_at) AS complaint_at
  FROM said GROUP BY ALL
)
SELECT r.*, (
  SELECT min(epoch_us(r.complaint_at) - epoch_us(o.complaint_at)) // 1000 FROM roots o
  WHERE (o.tenant_id, o.is_test, o.customer_id) = (r.tenant_id, r.is_test, r.customer_id)
    AND (o.complaint_at, o.interaction_id) < (r.complaint_at, r.interaction_id)
) AS gap_ms
FROM roots r WHERE customer_id IS NOT NULL
"""

# Each day's amounts of one kind, split by the contacts' shares of the agents' time. A contact's part is
# what is due up to and with it, rounded, less what is due before it, rounded.
CONTACT_MONEY = """
CREATE TABLE contact_money AS
WITH kinds AS (
  SELECT tenant_id, day_at, day_ends_at, pool, purpose, site_id, queue_id, channel,
         CAST(sum(amount) * 10000 AS HUGEINT) AS due
  FROM costs WHERE NOT is_test GROUP BY ALL
),
shares AS (
  SELECT k.tenant_id, day_at, pool, purpose, k.queue_id, k.channel, due, l.interaction_id,
         CAST(sum(portion) AS HUGEINT) AS ms
  FROM kinds k JOIN portions p ON p.slice_at >= day_at AND p.slice_at < day_ends_at
  JOIN legs l USING (leg_id)
  WHERE NOT p.is_test AND portion > 0
    AND coalesce(k.site_id = l.site_id, k.site_id IS NULL)
    AND coalesce(k.queue_id = l.queue_id, k.queue_id IS NULL)
    AND coalesce(k.channel = l.channel, k.channel IS NULL)
  GROUP BY ALL
),
dues AS (
  SELECT *, (
    SELECT [coalesce(sum(o.ms) FILTER (WHERE o.interaction_id < s.interaction_id), 0), sum(o.ms)]
    FROM shares o
    WHERE (o.tenant_id, o.day_at, o.pool, o.purpose) = (s.tenant_id, s.day_at, s.pool, s.purpose)
      AND o.queue_id IS NOT DISTINCT FROM s.queue_id AND o.channel IS NOT DISTINCT FROM s.channel
  ) AS before
  FROM shares s
),
parts AS (
  SELECT *, sign(due) * ((2 * abs(due) * (before[1] + ms) + before[2]) // (2 * before[2])
                         - (2 * abs(due) * before[1] + before[2]) // (2 * before[2])) AS part
  FROM dues
)
SELECT p.day_at, p.pool, p.part, i.channel, i.reason_code, false AS is_test, (
  SELECT any_value(avoidable) FROM code_map c
  WHERE c.kind = 'reason' AND c.code = i.reason_code AND c.valid_from <= i.started_at
    AND (c.valid_to IS NULL OR c.valid_to > i.started_at)
) AS avoidable
FROM parts p JOIN interactions i USING (interaction_id)
"""

# Every agent on every day, if some row says that the agent was here then.
AGENT_DAYS = """
CREATE OR REPLACE TABLE agent_days AS
WITH days AS (
  SELECT CAST(d AS DATE) AS d, CAST(d AS DATE) :: TIMESTAMP AT TIME ZONE '{zone}' AS day_at,
         (CAST(d AS DATE) + 1) :: TIMESTAMP AT TIME ZONE '{zone}' AS day_ends_at
  FROM generate_series(make_timestamp({known_from}) - INTERVAL 2 DAY,
                       make_timestamp({horizon}) + INTERVAL 2 DAY, INTERVAL 1 DAY) s(d)
),
here AS (
  SELECT tenant_id, is_test, agent_id, d, day_at, day_ends_at, bool_or(left_on = d :: TEXT) AS gone,
         bool_or(left_on = d :: TEXT AND voluntary) AS wanted
  FROM agents a, days
  WHERE employed AND epoch_us(day_ends_at) > {known_from} AND epoch_us(day_at) < {horizon}
    AND coalesce(hired_on <= d :: TEXT, valid_from < day_ends_at)
    AND coalesce(left_on >= d :: TEXT, true)
  GROUP BY ALL
)
SELECT h.*, p.team_id, p.skills, p.skills_required
FROM here h, LATERAL (
  SELECT team_id, skills, skills_required FROM agents a
  WHERE (a.tenant_id, a.is_test, a.agent_id) = (h.tenant_id, h.is_test, h.agent_id)
    AND a.valid_from < h.day_ends_at
  ORDER BY a.valid_from DESC LIMIT 1
) p
"""

SKILL_DAYS = """
CREATE OR REPLACE TABLE skill_days AS
SELECT tenant_id, is_test, agent_id, day_at, team_id, skill, list_contains(skills, skill) AS held
FROM (SELECT *, unnest(list_distinct(skills_required)) AS skill FROM agent_days)
"""

# Every customer in every month, with the last that was told before its begin and before its end.
MONTHS = """
CREATE OR REPLACE TABLE months AS
WITH months AS (
  SELECT date_trunc('month', m) AT TIME ZONE '{zone}' AS month_at,
         (date_trunc('month', m) + INTERVAL 1 MONTH) AT TIME ZONE '{zone}' AS ends_at
  FROM generate_series(date_trunc('month', make_timestamptz({known_from}) AT TIME ZONE '{zone}'),
                       make_timestamptz({horizon}) AT TIME ZONE '{zone}', INTERVAL 1 MONTH) s(m)
),
people AS (SELECT DISTINCT tenant_id, is_test, customer_id FROM customers),
both_ends AS (
  SELECT p.*, m.*, (
    SELECT arg_max({{'s': status, 'v': recurring_value, 'c': currency, 'g': segment}}, valid_from)
    FROM customers c WHERE (c.tenant_id, c.customer_id) = (p.tenant_id, p.customer_id)
      AND c.valid_from < m.month_at) AS a, (
    SELECT arg_max({{'s': status, 'v': recurring_value, 'c': currency, 'g': segment}}, valid_from)
    FROM customers c WHERE (c.tenant_id, c.customer_id) = (p.tenant_id, p.customer_id)
      AND c.valid_from < m.ends_at) AS b, (
    SELECT bool_or(c.status = 'active') FROM customers c
    WHERE (c.tenant_id, c.customer_id) = (p.tenant_id, p.customer_id)
      AND c.valid_from >= m.month_at AND c.valid_from < m.ends_at AND epoch_us(c.valid_from) < {horizon}
  ) AS became, (
    SELECT min(valid_from) FROM customers c WHERE c.status = 'active'
      AND (c.tenant_id, c.customer_id) = (p.tenant_id, p.customer_id)) AS first_at
  FROM people p, months m WHERE epoch_us(m.month_at) < {horizon}
)
SELECT tenant_id, is_test, month_at, ends_at, coalesce(a.g, b.g) AS segment,
       coalesce(a.s = 'active', false) AS was, coalesce(b.s = 'active', false) AS stays,
       epoch_us(ends_at) <= {horizon} AS over,
       CASE WHEN a.c IS NOT DISTINCT FROM b.c OR a.c IS NULL THEN a.v END AS before_value,
       CASE WHEN a.c IS NOT DISTINCT FROM b.c OR a.c IS NULL
            THEN CASE WHEN b.s = 'active' THEN b.v ELSE 0 END END AS after_value,
       CASE WHEN first_at >= month_at AND first_at < ends_at THEN first_at END AS joined_at,
       came.contacts, came.contacted
FROM both_ends e, LATERAL (
  SELECT count(*) AS contacts, coalesce(bool_or(handled), false) AS contacted FROM interactions i
  WHERE (i.tenant_id, i.customer_id) = (e.tenant_id, e.customer_id) AND i.direction = 'inbound'
    AND NOT i.duplicate AND NOT i.spam AND NOT i.is_test
    AND i.started_at >= e.month_at AND i.started_at < e.ends_at
) came
WHERE coalesce(a.s = 'active', false) OR coalesce(became, false)
"""


def make_tables(connection, tables):
    """Makes the tables that know no zone; returns their names, and those of the ones that do."""
    made = set()
    if "interactions" in tables:
        connection.execute(COMPLAINED)
        made.add("complained")
    if {"interactions", "costs", "legs", "code_map", "agent_time"} <= tables:
        connection.execute(CONTACT_MONEY)
        made.add("contact_money")
    if "agents" in tables:
        made.update({"agent_days", "skill_days"})
    if {"customers", "interactions"} <= tables:
        made.add("months")
    return made


def zone_tables(connection, tables, bounds, zone):
    """Makes those whose days or months are of a zone."""
    made = [("agent_days", AGENT_DAYS), ("skill_days", SKILL_DAYS), ("months", MONTHS)]
    for name, sql in made:
        if name in tables:
            connection.execute(sql.format(**bounds, zone=zone))


def kpis(kpi):
    """The KPIs over one table, by id; `kpi` makes one."""
    def n(condition):
        return f"count(*) FILTER (WHERE {condition})"

    def total(column, condition):
        return f"sum({column}) FILTER (WHERE {condition})"

    def days(a, b=None, **more):
        return kpi("agent_days", "day_at", "team_id", a, b, **more)

    def month(a, b=None, **more):
        return kpi("months", "month_at", "segment", a, b, grain="1mo", **more)

    def money(condition, pool="<> 'media'"):
        return kpi("contact_money", "day_at", "channel",
                   f"sum(part) FILTER (WHERE {condition})", where=f"pool {pool}", factor=1 / 10000)

    def spent(condition):
        return kpi("costs", "day_at", "channel", f"sum(amount) FILTER (WHERE {condition})")

    def kept(condition):
        whole = n(f"{condition} AND was AND over")
        return f"{n(f'{condition} AND was AND stays AND over')} / nullif({whole}, 0)"

    known = "was AND over AND before_value IS NOT NULL"
    return {
        "turnover": days(n("gone"), n("true"), factor=365),
        "turnover_voluntary": days(n("gone AND wanted"), n("true"), factor=365),
        "turnover_period": days(f"{n('gone')} * count(DISTINCT day_at)", n("true"), factor=1 + 1e-16),
        "agents_employed": days("count(DISTINCT agent_id)", empty=0),
        "skill_coverage": kpi("skill_days", "day_at", "team_id", n("held"), n("true")),
        "retention_rate": month(n("was AND stays AND over"), n("was AND over")),
        "retention_rate_contacted": month(n("contacted AND was AND stays AND over"),
                                          n("contacted AND was AND over")),
        "retention_gap": month(f"{kept('contacted')} - {kept('NOT contacted')}", factor=100),
        "customers_retained": month(n("was AND stays AND over"), empty=0),
        "net_revenue_retention": month(total("after_value", known), total("before_value", known)),
        "contact_propensity": month(total("contacts", "over"), n("over")),
        "customers_joined": kpi("months", "joined_at", "segment", n("true"), empty=0),
        "complaint_rate_repeat": kpi("complained", "complaint_at", "channel",
                                     n(f"gap_ms <= {30 * DAY_MS}"), n("true")),
        "cost_by_reason": money("reason_code IS NOT NULL"),
        "avoidable_cost": money("avoidable"),
        "acquisition_spend": spent("pool <> 'media' AND purpose = 'acquisition'"),
        "acquisition_spend_with_media": spent("purpose = 'acquisition'"),
        "retention_spend": spent("pool <> 'media' AND purpose = 'retention'"),
        "order_value_gross_agents": kpi("orders", "placed_at", "queue_id",
                                        total("value_gross", "agent_id IS NOT NULL"), empty=0),
    }


def totals(connection, tables, bounds, zone):
    """The values of the KPIs over two tables, by id, in total."""
    values = {}
    if {"orders", "agent_days"} <= tables:
        values.update(sales(connection, bounds, zone))
    if {"costs", "months"} <= tables:
        values.update(customer_costs(connection, bounds, zone))
    return values


def one(connection, text):
    """The one value of a query."""
    return connection.execute(text).fetchone()[0]


def bucket(moment, unit, zone):
    """The start of the local day or month that a moment (microseconds) is in."""
    return (f"epoch_us(date_trunc('{unit}', make_timestamptz({moment}) AT TIME ZONE '{zone}') "
            f"AT TIME ZONE '{zone}')")


def sales(connection, bounds, zone):
    """Orders by agents over agents with the company; young orders end the period with their day."""
    end = one(connection, f"SELECT {bucket(bounds['horizon'] - 45 * DAY_MS * 1000, 'day', zone)}")

    def per_agent(column, until):
        a = one(connection, f"SELECT coalesce(sum({column}), 0) FROM orders WHERE NOT is_test "
                            f"AND agent_id IS NOT NULL AND epoch_us(placed_at) < {until}")
        b = one(connection, f"SELECT count(DISTINCT agent_id) FROM agent_days WHERE NOT is_test "
                            f"AND epoch_us(day_at) < {until}")
        return float(a) / b if b else None

    return {"sales_per_agent": per_agent("value_net", end),
            "sales_per_agent_gross": per_agent("value_gross", 2**62)}


def customer_costs(connection, bounds, zone):
    """Spend over customers. No value where a day is missing: at the begin of the rows beside the lines, or
    at the end, if months of the report do not end with a day of the lines."""
    first = one(connection, "SELECT min(epoch_us(day_at)) FROM costs")
    last = one(connection, "SELECT max(epoch_us(day_ends_at)) FROM costs")
    joined = one(connection, "SELECT min(epoch_us(joined_at)) FROM months WHERE NOT is_test")
    month = one(connection, "SELECT min(epoch_us(month_at)) FROM months WHERE NOT is_test")
    complete = one(connection, f"SELECT max(epoch_us(day_ends_at)) FROM costs "
                               f"WHERE epoch_us(day_ends_at) <= {bounds['horizon']}") or 0
    end = one(connection, f"SELECT {bucket(complete, 'month', zone)}")
    ends = one(connection, f"SELECT count(*) FROM costs WHERE epoch_us(day_ends_at) = {end}")

    def spend(condition, until):
        return one(connection, f"SELECT sum(amount) FROM costs WHERE NOT is_test AND {condition} "
                               f"AND epoch_us(day_at) < {until}")

    def count(condition, until, time):
        return one(connection, f"SELECT count(*) FROM months WHERE NOT is_test AND {condition} "
                               f"AND epoch_us({time}) < {until}")

    def per(condition, b, known):
        a = spend(condition[0], condition[1])
        return float(a) / b if known and a is not None and b else None

    win, keep = "pool <> 'media' AND purpose = 'acquisition'", "pool <> 'media' AND purpose = 'retention'"
    whole = joined is not None and first is not None and joined >= first
    months = ends > 0 and first is not None and month is not None and month >= first
    new = count("joined_at IS NOT NULL", last or 0, "joined_at")
    kept = per((keep, end), count("was AND stays AND over", end, "month_at"), months)
    won = per((win, end), count("joined_at IS NOT NULL", end, "joined_at"), months and whole)
    return {
        "acquisition_cost": per((win, last), new, whole),
        "acquisition_cost_with_media": per(("purpose = 'acquisition'", last), new, whole),
        "retention_cost": kept,
        "acquisition_to_retention": won / kept if won is not None and kept else None,
    }
