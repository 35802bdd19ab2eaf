#!/usr/bin/env python3
"""Compares `callgauge kpi` with DuckDB over the same Parquet files.

    duckdb_check.py --data DIR [--bin CALLGAUGE] [--zone ZONE]...

DIR is a data folder written by `callgauge demo` or `callgauge import`. The SQL here is written by
hand from the definitions in words; it is not made from the definition files, so that an error in
those shows. Every core KPI is compared by queue (or by channel, where a KPI has no queue) and day,
and in total, in each zone: value, numerator and denominator. Counts and sums must be equal to the
last digit. Needs the module `duckdb`; `scripts/test` installs it. Exits 1 on any difference.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import zoneinfo

import duckdb

import duckdb_office as office
from callgauge_cli import find_binary, micros, number
from duckdb_question import compare_question

DAY_MS = 86_400_000
ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu"]


# ---- the data: files that the manifest names --------------------------------------------------

def manifest_files(data):
    """Paths of the files of each table, read from the newest manifest file."""
    newest = max((data / "manifest").glob("manifest-*.jsonl"))
    files = {}
    for line in newest.read_bytes().split(b"\n")[:-1]:
        entry = json.loads(line)
        if entry["v"] not in (1, 2):
            raise SystemExit(f"{newest}: unknown format version {entry['v']}")
        if entry["kind"] == "snapshot":
            files.clear()
        for path in entry["remove"]:
            files.pop(path)
        for file in entry["add"]:
            files[file["path"]] = file
    tables = {}
    for path, file in files.items():
        tables.setdefault(file["table"], []).append(str(data / path))
    return tables


def open_tables(data):
    """A DuckDB connection with one view a table."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    tables = manifest_files(data)
    for table, paths in tables.items():
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted(paths))
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{listed}])")
    bounds = find_bounds(connection)
    if "interactions" in tables:
        connection.execute(LINKS)
        tables["links"] = []
    if "agent_time" in tables:
        connection.execute(SPANS.format(**bounds))
        connection.execute(MOMENTS)
        tables["moments"] = []
        if "legs" in tables:
            connection.execute(PORTIONS)
            connection.execute(SHARES)
            tables["shared_legs"] = []
    if {"self_service", "interactions"} <= tables.keys():
        connection.execute(SESSIONS)
        tables["sessions"] = []
    if {"queue_visits", "callbacks", "cases"} <= tables.keys():
        connection.execute(SNAPSHOTS.format(**bounds))
        tables["snapshots"] = []
        lay_out_calendars(connection, "calendars" in tables)
        connection.execute(BUSINESS)
        tables["business_cases"] = tables["business_callbacks"] = []
    return connection, set(tables) | office.make_tables(connection, set(tables)), bounds


def find_bounds(connection):
    """`horizon`, `history_start` and `as_of` in microseconds, as the engine works them out."""
    marks = connection.execute(
        """SELECT source,
                  max(epoch_us(CAST(json_extract_string(data, '$.complete_until')
                                    AS TIMESTAMPTZ))),
                  arg_max(epoch_us(CAST(json_extract_string(data, '$.history_start')
                                        AS TIMESTAMPTZ)), occurred_at)
           FROM log WHERE event_type = 'source.watermark' GROUP BY source""").fetchall()
    # The floor's own work: contacts as they happen, and what agents are at.
    first, last = connection.execute(
        r"""SELECT min(epoch_us(occurred_at)), max(epoch_us(occurred_at)) FROM log
            WHERE split_part(event_type, '.', 1) IN ('interaction', 'selfservice', 'queue', 'estimate',
                'offer', 'leg', 'hold', 'acw', 'transfer', 'message', 'disposition', 'callback')
                AND event_type <> 'interaction.classified'
              OR event_type IN ('agent.session_started', 'agent.session_ended', 'agent.state_changed',
                'agent.heartbeat')""").fetchone()
    horizon = min((mark[1] for mark in marks), default=last - 15 * 60 * 1_000_000)
    starts = [mark[2] for mark in marks if mark[2] is not None]
    return {
        "horizon": horizon,
        "history_start": max(starts, default=first),
        "known_from": min([*starts, first]),
        "as_of": max(last, horizon),
    }


# Contacts of known customers and how long it is to the customer's contact before and after: by
# the same reason ('issue'), any contact ('any'), and also attempts that nobody handled
# ('any_attempt', forward only). One root is one contact.
LINKS = """
CREATE TABLE links AS
WITH numbered AS (
  SELECT *, row_number() OVER (PARTITION BY tenant_id, is_test, root_id
                               ORDER BY started_at, interaction_id) AS place
  FROM interactions
),
contacts AS (
  SELECT tenant_id, is_test, root_id,
         max(interaction_id) FILTER (WHERE place = 1) AS interaction_id,
         min(started_at) AS contact_at,
         arg_min(customer_id, place) AS customer_id,
         max(direction) FILTER (WHERE place = 1) AS direction,
         max(channel) FILTER (WHERE place = 1) AS channel,
         arg_min(reason_code, place) AS reason_code,
         arg_min(first_queue_id, place) AS queue_id,
         bool_or(handled) AS handled,
         bool_or(not_resolvable_first) AS not_resolvable_first
  FROM numbered GROUP BY tenant_id, is_test, root_id
),
inbound AS (
  SELECT * FROM contacts
  WHERE direction = 'inbound' AND customer_id IS NOT NULL AND NOT is_test
),
pairs AS (
  SELECT a.root_id, b.handled, a.reason_code = b.reason_code AS same_reason,
         epoch_us(b.contact_at) - epoch_us(a.contact_at) AS gap_us,
         (b.contact_at, b.interaction_id) > (a.contact_at, a.interaction_id) AS after
  FROM inbound a JOIN inbound b USING (tenant_id, customer_id)
  WHERE a.root_id <> b.root_id AND a.handled
),
gaps AS (
  SELECT root_id,
         min(gap_us) FILTER (WHERE after AND handled AND same_reason) // 1000 AS issue_next,
         min(-gap_us) FILTER (WHERE NOT after AND handled AND same_reason) // 1000 AS issue_prev,
         min(gap_us) FILTER (WHERE after AND handled) // 1000 AS any_next,
         min(-gap_us) FILTER (WHERE NOT after AND handled) // 1000 AS any_prev,
         min(gap_us) FILTER (WHERE after) // 1000 AS attempt_next
  FROM pairs GROUP BY root_id
)
SELECT 'issue' AS scope, i.*, issue_prev AS prev_gap_ms, issue_next AS next_gap_ms
FROM inbound i LEFT JOIN gaps USING (root_id) WHERE handled AND reason_code IS NOT NULL
UNION ALL
SELECT 'any', i.*, any_prev, any_next
FROM inbound i LEFT JOIN gaps USING (root_id) WHERE handled
UNION ALL
SELECT 'any_attempt', i.*, any_prev, attempt_next
FROM inbound i LEFT JOIN gaps USING (root_id) WHERE handled
"""


# Agents' time with what has begun and is not over: it goes on up to the horizon, and work on a contact no
# longer than up to the first moment at which its agent has no status any more.
SPANS = """
CREATE TABLE spans AS
WITH statuses AS (
  SELECT tenant_id, is_test, agent_id, epoch_us(slice_at) // 1000 + from_ms AS t,
         CASE timeline WHEN 'status' THEN epoch_us(slice_at) // 1000 + to_ms END AS u
  FROM agent_time WHERE timeline IN ('status', 'open_status')
),
ends AS (
  SELECT * FROM statuses a WHERE u IS NOT NULL AND NOT EXISTS (
    FROM statuses b WHERE (a.tenant_id, a.is_test, a.agent_id) = (b.tenant_id, b.is_test, b.agent_id)
      AND b.t <= a.u AND (b.u IS NULL OR b.u > a.u))
),
told AS (
  SELECT *, epoch_us(slice_at) // 1000 + from_ms AS since FROM agent_time
  WHERE starts_with(timeline, 'open_') AND epoch_us(slice_at) >= {horizon} - 86400000000
),
begun AS (
  SELECT *, least({horizon} // 1000, coalesce((
    SELECT min(u) FROM ends e
    WHERE (e.tenant_id, e.is_test, e.agent_id) = (b.tenant_id, b.is_test, b.agent_id)
      AND e.u > b.since AND b.timeline = 'open_contact'), {horizon} // 1000)) AS until
  FROM told b
),
quarters AS (
  SELECT *, unnest(generate_series(since // 900000, (until - 1) // 900000)) * 900000 AS q
  FROM begun
)
SELECT tenant_id, is_test, agent_id, slice_at, from_ms, to_ms, timeline, state, paid
FROM agent_time WHERE NOT starts_with(timeline, 'open_')
UNION ALL
SELECT tenant_id, is_test, agent_id, make_timestamptz(q * 1000), greatest(since - q, 0),
       least(until - q, 900000), replace(timeline, 'open_', ''), state, paid
FROM quarters
"""

# Stretches of an agent's quarter of an hour in which nothing changes, with all that holds in them,
# found by looking for what covers each, not by adding up begins and ends.
MOMENTS = """
CREATE TABLE moments AS
WITH marks AS (
  SELECT tenant_id, is_test, agent_id, slice_at, from_ms AS t FROM spans
  UNION SELECT tenant_id, is_test, agent_id, slice_at, to_ms FROM spans
),
stretches AS (
  SELECT *, lead(t) OVER (PARTITION BY tenant_id, is_test, agent_id, slice_at ORDER BY t) AS u
  FROM marks
)
SELECT tenant_id, is_test, agent_id, slice_at, t, u - t AS ms,
       count(*) FILTER (WHERE timeline = 'contact') AS contacts,
       count(*) FILTER (WHERE timeline = 'ring') AS rings,
       max(state) AS state,
       coalesce(bool_and(paid) FILTER (WHERE timeline = 'status'), true) AS paid
FROM stretches s JOIN spans a USING (tenant_id, is_test, agent_id, slice_at)
WHERE u > t AND a.from_ms <= t AND a.to_ms >= u
GROUP BY ALL
"""

# Legs' parts of their agent's time in a quarter of an hour. Of each stretch in which the same legs are at work, every
# leg but the first by its id gets a whole k-th, and the first what is left of the stretch.
PORTIONS = """
CREATE TABLE portions AS
WITH edges AS (
  SELECT tenant_id, is_test, agent_id, slice_at,
         list_sort(list_distinct(flatten(list([from_ms, to_ms])))) AS edge
  FROM agent_time WHERE timeline = 'contact' GROUP BY ALL
),
stretches AS (
  SELECT * EXCLUDE (edge), unnest(list_zip(edge[:-2], edge[2:])) AS stretch FROM edges
),
crews AS (
  SELECT tenant_id, is_test, slice_at, stretch[2] - stretch[1] AS ms,
         list(span_id ORDER BY span_id) AS crew
  FROM stretches JOIN agent_time USING (tenant_id, is_test, agent_id, slice_at)
  WHERE timeline = 'contact' AND from_ms < stretch[2] AND to_ms > stretch[1]
  GROUP BY tenant_id, is_test, agent_id, slice_at, stretch
)
SELECT tenant_id, is_test, slice_at, crew[1] AS leg_id,
       ms - (len(crew) - 1) * (ms // len(crew)) AS portion
FROM crews
UNION ALL
SELECT tenant_id, is_test, slice_at, unnest(crew[2:]), ms // len(crew) FROM crews
"""

SHARES = """
CREATE TABLE shared_legs AS
SELECT l.*, coalesce((
  SELECT sum(portion) FROM portions p
  WHERE p.tenant_id = l.tenant_id AND p.is_test = l.is_test AND p.leg_id = l.leg_id
), 0) AS share
FROM legs l
"""

# Self-service sessions with the time until the customer came again and an agent handled it.
SESSIONS = """
CREATE TABLE sessions AS
SELECT s.*, (
  SELECT (min(epoch_us(i.started_at)) - epoch_us(s.started_at)) // 1000 FROM interactions i
  WHERE i.tenant_id = s.tenant_id AND i.is_test = s.is_test AND i.customer_id = s.customer_id
    AND i.handled AND i.direction = 'inbound' AND i.started_at > s.started_at
) AS gap_ms
FROM self_service s
"""


# What was open at the end of each quarter of an hour up to the horizon, also where nothing was: each
# item is put into every quarter at whose end it had begun and not ended.
SNAPSHOTS = """
CREATE TABLE snapshots AS
WITH spans AS (
  SELECT 'visit' AS kind, queue_id, channel, epoch_us(entered_at) AS since, epoch_us(left_at) AS until
  FROM queue_visits
  WHERE NOT is_test AND NOT blocked AND visit_kind <> 'internal' AND (waiting OR left_at IS NOT NULL)
  UNION ALL
  SELECT kind, queue_id, channel, epoch_us(requested_at), epoch_us(coalesce(connected_at, closed_at))
  FROM callbacks
  WHERE NOT is_test AND (outcome IS NULL OR coalesce(connected_at, closed_at) IS NOT NULL)
  UNION ALL
  SELECT 'case', NULL, channel, epoch_us(opened_at), CASE WHEN NOT is_open THEN epoch_us(solved_at) END
  FROM cases WHERE NOT is_test AND (is_open OR solved_at IS NOT NULL)
),
ends AS (
  SELECT *, unnest(generate_series(
    since // 900000000 + 1, least(coalesce(until, {horizon}), {horizon}) // 900000000)) AS quarter
  FROM spans
),
counted AS (
  SELECT kind, queue_id, channel, quarter, count(*) AS open_count,
         max(quarter * 900000000 - since) // 1000 AS oldest_ms
  FROM ends GROUP BY ALL
),
series AS (SELECT DISTINCT kind, queue_id, channel FROM spans),
quarters AS (
  SELECT unnest(generate_series(
    (SELECT min(since) FROM spans) // 900000000 + 1, {horizon} // 900000000)) AS quarter
)
SELECT s.*, false AS is_test, concat_ws('/', s.kind, s.queue_id, s.channel) AS series,
       make_timestamptz((q.quarter - 1) * 900000000) AS slice_at,
       coalesce(open_count, 0) AS score, coalesce(oldest_ms, 0) AS oldest_ms
FROM series s CROSS JOIN quarters q LEFT JOIN counted c
  ON s.kind = c.kind AND s.queue_id IS NOT DISTINCT FROM c.queue_id
  AND s.channel IS NOT DISTINCT FROM c.channel AND q.quarter = c.quarter
"""

# Cases and callbacks with the part of their time in which their calendar was open; NULL where it
# began before anything was said of the calendar.
BUSINESS = """
CREATE MACRO hours(name, a, b) AS CASE WHEN a >= (SELECT min(since) FROM said WHERE calendar = name) THEN (
  SELECT coalesce(sum(greatest(least(b, close_us) - greatest(a, open_us), 0)), 0) // 1000
  FROM open_hours WHERE calendar = name) END;
CREATE TABLE business_cases AS
SELECT *, hours('default', epoch_us(opened_at), epoch_us(first_solved_at)) AS first_business,
       hours('default', epoch_us(opened_at), epoch_us(solved_at)) AS full_business,
       hours('default', epoch_us(opened_at), epoch_us(closed_at)) AS close_business
FROM cases;
CREATE TABLE business_callbacks AS
SELECT c.*, hours(CASE WHEN v.site_id IN (SELECT calendar FROM said) THEN v.site_id ELSE 'default' END,
                  epoch_us(requested_at), epoch_us(connected_at)) AS business
FROM callbacks c LEFT JOIN queue_visits v USING (tenant_id, visit_id)
"""

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def hours_of_day(text, date):
    """The stretches of a date in minutes, of `mon-fri 09:00-18:00; sat 10:00-14:00`."""
    found = []
    for part in text.split(";"):
        days, _, hours = part.strip().partition(" ")
        first, _, last = days.partition("-")
        first, last = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        if date.weekday() in {(first + i) % 7 for i in range((last - first) % 7 + 1)}:
            found += stretches_of(hours)
    return found


def stretches_of(hours):
    """Minutes of `09:00-12:00, 13:00-18:00`; a close before the open is on the next day."""
    def minute(clock):
        return int(clock[:2]) * 60 + int(clock[3:])

    pairs = [] if hours == "closed" else [span.strip().split("-") for span in hours.split(",")]
    return [(minute(a), minute(b) + (1440 if b < a else 0)) for a, b in pairs]


def lay_out_calendars(connection, told):
    """Tables `said` (calendars and since when) and `open_hours` (when each was open)."""
    connection.execute("CREATE TABLE said (calendar TEXT, since BIGINT)")
    connection.execute("CREATE TABLE open_hours (calendar TEXT, open_us BIGINT, close_us BIGINT)")
    if not told:
        return
    rows = connection.execute(
        "SELECT calendar, day, epoch_us(valid_from), coalesce(epoch_us(valid_to), 4102444800000000), "
        "zone, hours FROM calendars WHERE NOT is_test").fetchall()
    span = connection.execute(
        "SELECT min(opened_at)::DATE - 3, max(opened_at)::DATE + 60 FROM cases").fetchone()
    for name, day, since, until, zone, hours in rows:
        if day:
            continue
        connection.execute("INSERT INTO said VALUES (?, ?)", [name, since])
        zone = zoneinfo.ZoneInfo(zone)
        for ahead in range((span[1] - span[0]).days):
            date = span[0] + datetime.timedelta(days=ahead)
            midnight = datetime.datetime(date.year, date.month, date.day)
            begin = round(midnight.replace(tzinfo=zone).timestamp() * 1e6)
            own = [row[5] for row in rows if row[0] == name and row[1] == str(date)
                   and row[2] <= begin < row[3] and row[5] != "usual"]
            for minutes in stretches_of(own[0]) if own else hours_of_day(hours, date):
                ends = [midnight + datetime.timedelta(minutes=m) for m in minutes]
                a, b = (round(end.replace(tzinfo=zone).timestamp() * 1e6) for end in ends)
                if max(a, since) < min(b, until):
                    connection.execute("INSERT INTO open_hours VALUES (?, ?, ?)",
                                       [name, max(a, since), min(b, until)])


# ---- the KPIs, by hand ------------------------------------------------------------------------

class Kpi:
    """One KPI: aggregates over rows of one table, and the value made of them."""

    def __init__(self, table, time, cut, a, b=None, where="true", factor=1.0, empty=None,
                 last_of=None, together=None, grain="1d"):
        self.grain = grain
        self.table, self.time, self.cut, self.where = table, time, cut, where
        self.a, self.b, self.factor, self.empty = a, b, factor, empty
        # Only the last row of each value of this column counts, group by group.
        self.last_of = last_of
        # How many rows there were at once at most, each up to this time, instead of `a`.
        self.together = together

    def value(self, a, b):
        """The value from its aggregates."""
        if self.b is None:
            return self.empty if a is None else a * self.factor
        if a is None or b is None or b == 0:
            return self.empty
        return a / b * self.factor


def n(condition):
    """Number of rows."""
    return f"count(*) FILTER (WHERE {condition})"


def total(column, condition="true"):
    """Sum of a column."""
    return f"sum({column}) FILTER (WHERE {condition})"


def visits():
    """Queue visits, counted when they began unless `event` says when they ended."""
    customer = "visit_kind = 'customer'"

    def cohort(a, b=None, **more):
        return Kpi("queue_visits", "entered_at", "queue_id", a, b, customer, **more)

    def event(a, b=None, **more):
        return Kpi("queue_visits", "left_at", "queue_id", a, b, customer, **more)

    def timed(condition):
        return f"count(wait_ms) FILTER (WHERE {condition})"

    met = n("answered AND wait_ms <= 20000")
    patient = "(abandoned AND wait_ms >= 5000)"
    ended = "answered OR abandoned OR flowed_out"
    elapsed = "(CASE WHEN waiting THEN ({as_of} - epoch_us(entered_at)) // 1000 ELSE wait_ms END)"
    lost_queue = "abandoned OR outcome IN ('timeout', 'leave_empty')"
    kpis = {
        "offered": cohort(n("NOT blocked"), empty=0),
        "offered_net": cohort(
            n("NOT blocked AND NOT (abandoned AND coalesce(wait_ms < 5000, false))"), empty=0),
        "offered_interactions": cohort(
            "count(DISTINCT interaction_id) FILTER (WHERE NOT blocked)", empty=0),
        "answered": cohort(n("answered"), empty=0),
        "answered_event": event(n("answered"), empty=0),
        "abandoned": cohort(n("abandoned"), empty=0),
        "abandoned_event": event(n("abandoned"), empty=0),
        "short_abandoned": cohort(n("abandoned AND wait_ms < 5000"), empty=0),
        "answer_rate": cohort(n("answered"), n("NOT blocked AND NOT waiting")),
        "service_level": cohort(met, n(f"answered OR {patient}")),
        "service_level_answered_only": cohort(met, n("answered")),
        "service_level_all_abandons": cohort(met, n("answered OR abandoned")),
        "service_level_early_abandons_out": cohort(
            met, n("answered OR (abandoned AND wait_ms > 20000)")),
        "service_level_early_abandons_met": cohort(
            n("(answered OR abandoned) AND wait_ms <= 20000"), n("answered OR abandoned")),
        "service_level_flow_outs": cohort(met, n(f"answered OR flowed_out OR {patient}")),
        "service_level_flow_outs_all": cohort(met, n(ended)),
        "service_level_removed": cohort(
            n("(answered OR abandoned OR outcome = 'callback') AND wait_ms <= 20000"), n(ended)),
        "service_level_no_abandons": cohort(met, n("answered OR flowed_out")),
        "service_level_live": cohort(
            met, n(f"answered OR {patient} OR ((waiting OR flowed_out) AND {elapsed} > 20000)")),
        "abandon_rate": cohort(n(patient), n(f"answered OR {patient}")),
        "abandon_rate_all": cohort(n("abandoned"), n("answered OR abandoned")),
        "abandon_rate_short_in_base": cohort(n(patient), n("answered OR abandoned")),
        "abandon_rate_of_offered": cohort(n("abandoned"), n(ended)),
        "abandon_rate_flow_outs": cohort(n(patient), n(f"answered OR flowed_out OR {patient}")),
        "abandon_rate_app_queue": cohort(n(lost_queue), n(f"answered OR {lost_queue}")),
        "abandon_rate_silent": cohort(
            n("abandoned OR silent_abandon"), n("answered OR abandoned")),
        "asa": cohort(total("wait_ms", "answered"), n("answered")),
        "asa_event": event(total("wait_ms", "answered"), n("answered")),
        "avg_wait": cohort(total("wait_ms", ended), timed(ended)),
        "avg_wait_abandoned": cohort(total("wait_ms", "abandoned"), timed("abandoned")),
        "longest_wait": cohort("max(wait_ms) FILTER (WHERE NOT waiting AND NOT blocked)"),
        "longest_wait_answered": cohort("max(wait_ms) FILTER (WHERE answered)"),
        "flow_out_rate": cohort(n("flowed_out"), n("NOT blocked")),
        "blocked_rate": cohort(n("blocked"), n("true")),
        "avg_patience": cohort(total("wait_ms", "answered OR abandoned"), timed("abandoned")),
    }
    halves, hours = (f"histogram(epoch_us(entered_at) // {minutes * 60_000_000}) "
                     "FILTER (WHERE NOT blocked)" for minutes in (30, 60))
    kpis["peak_interval_volume"] = cohort(f"list_max(map_values({halves}))")
    kpis["peak_hour_volume"] = cohort(f"list_max(map_values({hours}))")
    kpis["peak_factor"] = cohort(f"list_max(map_values({halves}))",
                                 f"{n('NOT blocked')} / len(map_keys({halves}))")
    kpis["peak_in_queue"] = Kpi("queue_visits", "entered_at", "queue_id", "", together="left_at",
                                where=f"{customer} AND (waiting OR left_at IS NOT NULL)")
    for outcome in ("callback", "voicemail", "overflow", "timeout"):
        kpis[f"{outcome}_rate"] = cohort(n(f"outcome = '{outcome}'"), n("NOT blocked"))
    for percent in (50, 90, 95):
        kpis[f"wait_p{percent}"] = cohort(
            f"quantile_disc(wait_up_s, {percent / 100}) FILTER (WHERE answered)", factor=1000)
    return kpis


def legs():
    """Agents' work, counted when it was completed."""
    def leg(a, b=None, **more):
        return Kpi("legs", "completed_at", "queue_id", a, b,
                   "role NOT IN ('monitor', 'barge')", **more)

    handled = n("handled")
    kpis = {
        "handled": leg(handled, empty=0),
        "aht": leg("sum(handle_ms)", handled),
        "avg_dial": leg("sum(dial_ms)", handled),
        "avg_talk": leg("sum(talk_ms)", handled),
        "avg_hold": leg("sum(hold_ms)", handled),
        "avg_acw": leg("sum(acw_ms)", handled),
        "avg_hold_held_only": leg("sum(hold_ms)", n("handled AND hold_count > 0")),
        "avg_acw_when_used": leg("sum(acw_ms)", n("handled AND acw_ms > 0")),
        "hold_rate": leg(n("handled AND hold_count > 0"), handled),
        "transfer_rate_blind": leg(
            n("handled AND transferred_out AND transfer_kind = 'blind'"), handled),
        "transfer_rate_external": leg(
            n("handled AND transferred_out AND transfer_to_kind = 'external'"), handled),
    }
    for kpi, column in [("acw_time", "acw_ms"), ("talk_time", "talk_ms"),
                        ("hold_time", "hold_ms"), ("handle_time", "handle_ms")]:
        kpis[kpi] = leg(f"sum({column})", empty=0)
    kpis["aht_effective"] = Kpi("shared_legs", "completed_at", "queue_id", "sum(share)", handled,
                                "role NOT IN ('monitor', 'barge')")
    return kpis


def interactions():
    """Contacts, counted when they ended (rates of handling) or began (volume)."""
    def ended(a, b=None, **more):
        return Kpi("interactions", "ended_at", "channel", a, b, **more)

    def started(a, b=None, **more):
        return Kpi("interactions", "started_at", "channel", a, b, **more)

    handled = n("handled")
    counted = "handled AND NOT duplicate AND NOT spam"
    return {
        "contacts": started(n("true"), empty=0),
        "contacts_handled": ended(handled, empty=0),
        "assisted": started(handled, empty=0),
        "agent_requests": started(n("requested_agent"), empty=0),
        "complaint_rate": started(n("complaint"), n("true")),
        "escalation_rate": ended(n("handled AND escalated"), handled),
        "resolution_rate": ended(n(f"{counted} AND resolved"), n(counted)),
        "fcr_coverage": started(
            n("handled AND direction = 'inbound' AND customer_id IS NOT NULL"),
            n("handled AND direction = 'inbound'")),
        "aht_interaction": ended(total("handle_ms", "handled"), handled),
        "transfer_rate": ended(n("handled AND transferred"), handled),
        "transfers_per_handle": ended(total("transfers", "handled"), handled),
        "abandon_rate_interaction": started(n("abandoned"), n("handled OR abandoned")),
        "fcr_agent_flag": ended(n("handled AND resolved"), n("handled AND resolved IS NOT NULL")),
        "complaints": started(n("complaint"), empty=0),
        "escalation_rate_complaint": ended(
            n("handled AND complaint AND escalated"), n("handled AND complaint")),
        "disposition_other_share": ended(
            n("handled AND disposition_code = 'other'"), n("handled AND dispositioned")),
    }


def repeats():
    """First contact resolution and repeat contacts."""
    def link(a, b, scope):
        return Kpi("links", "contact_at", "queue_id", n(f"({a}) AND ({b})"), n(b),
                   f"scope = '{scope}'")

    def matured(days):
        return f"epoch_us(contact_at) + {days * DAY_MS * 1000} <= {{horizon}}"

    def fcr(days, scope="issue", more="true"):
        window = days * DAY_MS
        known = f"epoch_us(contact_at) >= {{history_start}} + {window * 1000}"
        base = (f"{matured(days)} AND {known} AND {more} "
                f"AND (prev_gap_ms IS NULL OR prev_gap_ms > {window})")
        return link(f"next_gap_ms IS NULL OR next_gap_ms > {window}", base, scope)

    week = 7 * DAY_MS
    forward = f"next_gap_ms IS NULL OR next_gap_ms > {week}"
    kpis = {
        "fcr": fcr(7),
        "fcr_any_issue": fcr(7, "any"),
        "fcr_any_attempt": fcr(7, "any_attempt"),
        "fcr_net": fcr(7, more="NOT not_resolvable_first"),
        "fcr_forward": link(forward, matured(7), "issue"),
        "repeat_rate": link(f"prev_gap_ms <= {week}", "true", "issue"),
        "repeat_rate_any_issue": link(f"prev_gap_ms <= {week}", "true", "any"),
        "repeat_rate_forward": link(f"next_gap_ms <= {week}", matured(7), "issue"),
    }
    for days in (1, 3, 14, 30):
        kpis[f"fcr_{days}d"] = fcr(days)
    kpis["repeat_customers"] = Kpi(
        "links", "contact_at", "queue_id",
        f"count(DISTINCT customer_id) FILTER (WHERE prev_gap_ms <= {week})",
        "count(DISTINCT customer_id)", "scope = 'issue'")
    return kpis


def surveys():
    """Answers to surveys, counted when they were given."""
    def survey(instrument, a, b, **more):
        return Kpi("surveys", "answered_at", "queue_id", a, b,
                   f"instrument = '{instrument}'", **more)

    def staff(instrument, a, **more):
        return Kpi("surveys", "answered_at", "team_id", a, given, f"instrument = '{instrument}'",
                   **more)

    given = n("score IS NOT NULL")
    mature = f"epoch_us(contact_at) + {14 * DAY_MS * 1000} <= {{horizon}}"
    return {
        "csat": survey("csat5", n("score >= 4"), given),
        "csat_mean": survey("csat5", "sum(score)", given),
        "csat_top1": survey("csat5", n("score = 5"), given),
        "csat_2point": survey("csat2", n("score = 1"), given),
        "nps": survey("nps", f"{n('score >= 9')} - {n('score <= 6')}", given, factor=100),
        "nps_last_per_customer": Kpi(
            "surveys", "answered_at", "queue_id", f"{n('score >= 9')} - {n('score <= 6')}", given,
            "instrument = 'nps' AND score IS NOT NULL AND customer_id IS NOT NULL",
            factor=100, last_of="customer_id"),
        "ces": survey("ces7", "sum(score)", given),
        "ces_top3": survey("ces7", n("score >= 5"), given),
        "ces_index": survey("ces7", f"{n('score >= 6')} - {n('score <= 3')}", given, factor=100),
        "ces_effort": survey("ces5", "sum(score)", given),
        "csat_by_contact": Kpi(
            "surveys", "contact_at", "queue_id", n(f"score >= 4 AND {mature}"),
            n(f"score IS NOT NULL AND {mature}"), "instrument = 'csat5'"),
        "ces_net": survey("ces7", f"{n('score >= 5')} - {n('score <= 3')}", given, factor=100),
        "fcr_survey": survey("resolved_yn", n("score = 1"), given),
        "enps": staff("enps", f"{n('score >= 9')} - {n('score <= 6')}", factor=100),
        "esat": staff("esat5", n("score >= 4")),
    }


def quality():
    """Cases by the day they were solved, evaluations by the day they were made."""
    def case(a):
        return Kpi("cases", "solved_at", "channel", n(a), n("true"), "NOT is_open AND NOT merged")

    def opened(a, b, more="true"):
        return Kpi("cases", "opened_at", "channel", a, b, f"NOT merged AND {more}")

    def took(time, column, more="true"):
        return Kpi("cases", time, "channel", f"sum({column})", f"count({column})",
                   f"NOT merged AND {more}")

    def made(a, b=n("true"), time="evaluated_at", **more):
        return Kpi("evaluations", time, "queue_id", a, b, "status = 'final'", **more)

    due = "epoch_us(promise_at) <= {horizon}"
    bad, slips = n("critical_errors > 0"), ("sum(noncritical_errors)",
                                            "sum(noncritical_opportunities)")
    kinds = {f"critical_error_rate_{kind}": made(n(f"critical_{kind} > 0"))
             for kind in ("customer", "business", "compliance")}
    return {
        **kinds,
        "closure_rate": opened(n(f"closed_at <= promise_at AND {due}"), n(due)),
        "closure_rate_ever": opened(n(f"closed_at IS NOT NULL AND {due}"), n(due)),
        "cases_opened": Kpi("cases", "opened_at", "channel", n("true"), None, "NOT merged",
                            empty=0),
        "cases_closed": Kpi("cases", "closed_at", "channel", n("true"), None, "NOT merged",
                            empty=0),
        "resolution_rate_case": opened(n("solved_at IS NOT NULL AND NOT is_open"), n("true")),
        "escalation_rate_case": opened(n("escalated"), n("true")),
        "contacts_per_case": opened("sum(contacts)", n("true")),
        "resolution_time_first": took("first_solved_at", "first_solve_ms"),
        "resolution_time_full": took("solved_at", "full_solve_ms", "NOT is_open"),
        "complaint_closure_time": took("closed_at", "close_ms", "complaint"),
        "first_reply_time_case": took("opened_at", "first_reply_ms"),
        "promise_kept_case": Kpi(
            "cases", "promise_at", "channel", n(f"first_solved_at <= promise_at AND {due}"),
            n(due), "NOT merged"),
        "critical_error_rate": made(bad),
        "critical_error_rate_by_contact": made(bad, time="contact_at"),
        "critical_accuracy": made(n("critical_errors = 0")),
        "auto_fail_rate": made(n("auto_fail")),
        "noncritical_error_rate": made(*slips),
        "noncritical_error_rate_by_contact": made(*slips, time="contact_at"),
        "noncritical_error_rate_contacts": made(n("noncritical_errors > 0")),
        "qa_score": made("sum(score_bp)", "count(score_bp)", factor=1 / 10000),
        "qa_score_by_contact": made("sum(score_bp)", "count(score_bp)", time="contact_at",
                                    factor=1 / 10000),
        "qa_score_points": made("sum(points)", "sum(max_points)"),
        "fcr_case": case("contacts = 1"),
        "fcr_one_touch": case("agent_replies < 2"),
        "fcr_qa": Kpi("evaluations", "evaluated_at", "queue_id", n("resolved_judged"),
                      n("resolved_judged IS NOT NULL"), "status = 'final'"),
    }


def open_items():
    """What was open at the end of each day, of every queue and channel at its last quarter."""
    def at_end(kind, a="sum(score)", cut="queue_id"):
        over = "epoch_us(slice_at) + 900000000 <= {horizon}"
        return Kpi("snapshots", "slice_at", cut, a, where=f"kind = '{kind}' AND {over}", empty=0,
                   last_of="series")

    return {
        "waiting_now": at_end("visit"),
        "longest_waiting_now": at_end("visit", "max(oldest_ms)"),
        "open_callbacks": at_end("callback"),
        "open_cases": at_end("case", cut="channel"),
    }


def business_hours():
    """Lengths in the hours of calendars."""
    def took(time, column, more="true"):
        return Kpi("business_cases", time, "channel", f"sum({column})", f"count({column})",
                   f"NOT merged AND {more}")

    return {
        "resolution_time_first_business": took("first_solved_at", "first_business"),
        "resolution_time_full_business": took("solved_at", "full_business", "NOT is_open"),
        "complaint_closure_time_business": took("closed_at", "close_business", "complaint"),
        "voicemail_return_time": Kpi("business_callbacks", "connected_at", "queue_id",
                                     "sum(business)", "count(business)", "kind = 'voicemail'"),
    }


def workforce():
    """What agents did with their time."""
    def slices(a, b=None, **more):
        return Kpi("moments", "slice_at", "agent_id", a, b, **more)

    def ms(condition):
        return f"coalesce({total('ms', f'({condition}) AND {over}')}, 0)"

    def ever(condition):
        return f"coalesce({total('ms', condition)}, 0)"

    def rung(column):
        return f"coalesce({total(column, over)}, 0)"

    over = "epoch_us(slice_at) + 900000000 <= {horizon}"
    work, ring = "contacts > 0", "contacts = 0 AND rings > 0"
    idle = "contacts = 0 AND rings = 0 AND state = 'available'"
    away = "contacts = 0 AND rings = 0 AND state IN ('break', 'meal')"
    paid = "contacts > 0 OR rings > 0 OR paid"
    return {
        "occupancy": slices(ms(work), ms(f"{work} OR ({idle})")),
        "occupancy_with_ring": slices(ms(f"{work} OR ({ring})"),
                                      ms(f"{work} OR ({ring}) OR ({idle})")),
        "utilization": slices(ms(work), ms(paid)),
        "utilization_logged_in": slices(ms(work), ms("true")),
        "utilization_4ps": slices(ms(f"NOT ({away}) AND ({paid})"), ms(paid)),
        "avg_concurrency": slices(f"coalesce({total('contacts * ms', over)}, 0)", ms(work)),
        "contact_time": slices(ever(work), empty=0),
        "logged_in_time": slices(ever("true"), empty=0),
        "queue_time": slices(ms(f"{work} OR ({ring}) OR ({idle})"), empty=0),
        "agent_non_response_rate": Kpi("agent_time", "slice_at", "agent_id",
                                       rung("offers_missed"), rung("offers")),
    }


def self_service():
    """What the menu, the bot and the pages did for customers."""
    def session(a, b=n("true"), **more):
        return Kpi("sessions", "started_at", "channel", a, b, **more)

    def mature(days):
        return f"epoch_us(started_at) + {days * DAY_MS * 1000} <= {{horizon}}"

    def resolved(days, more="true"):
        kept = f"contained AND (gap_ms IS NULL OR gap_ms > {days * DAY_MS})"
        return session(n(f"{kept} AND {more} AND {mature(days)}"), n(f"{more} AND {mature(days)}"))

    return {
        "containment_rate": session(n("contained")),
        "self_service_completion": session(n("outcome = 'completed'")),
        "sessions_completed": session(n("outcome = 'completed'"), None, empty=0),
        "handover_rate": session(n("outcome = 'escalated'")),
        "context_carry_rate": session(n("outcome = 'escalated' AND context_passed"),
                                      n("outcome = 'escalated'")),
        "bot_answer_rate": session("sum(questions_answered)", "sum(questions)"),
        "helpful_rate": session("sum(votes_helpful)", "sum(votes)"),
        "resolved_containment": resolved(7),
        "resolved_containment_24h": resolved(1),
        "resolved_containment_completed": resolved(7, "outcome = 'completed'"),
    }


def trade():
    """Orders by the day they were placed, costs by their day."""
    def order(a, b=None, **more):
        return Kpi("orders", "placed_at", "queue_id", a, b, **more)

    def matured(days):
        return f"epoch_us(placed_at) + {days * DAY_MS * 1000} <= {{horizon}}"

    def cost(condition):
        return Kpi("costs", "day_at", "channel", f"sum(amount) FILTER (WHERE {condition})")

    return {
        "orders_delivered": Kpi("orders", "delivered_at", "queue_id", n("true"), empty=0),
        "orders_returned": Kpi("orders", "returned_at", "queue_id", n("true"), empty=0),
        "units_shipped": Kpi("orders", "shipped_at", "queue_id", "sum(units)", empty=0),
        "orders_placed": order(n("true"), empty=0),
        "valid_orders": order(n(f"valid AND {matured(7)}"), empty=0),
        "net_orders": order(n(f"net_kept AND {matured(45)}"), empty=0),
        "valid_order_rate": order(n(f"valid AND {matured(7)}"), n(matured(7))),
        "net_order_rate": order(n(f"net_kept AND {matured(45)}"), n(matured(45))),
        "cost_total": cost("pool <> 'media'"),
        "labour_cost": cost("pool = 'labour'"),
        "media_cost": cost("pool = 'media'"),
        "sales_cost": cost("pool <> 'media' AND purpose = 'sales'"),
        "sales_cost_with_media": cost("purpose = 'sales'"),
    }


def all_kpis():
    """Every KPI over one table, by id."""
    return {**visits(), **legs(), **interactions(), **repeats(), **surveys(), **quality(),
            **workforce(), **self_service(), **trade(), **open_items(), **business_hours(),
            **office.kpis(Kpi)}


# KPIs over two tables: cost, what it is divided by, and for how long that is not final (days).
SALES = "pool <> 'media' AND purpose = 'sales'"
PER_UNIT = {
    "cost_per_contact": ("pool <> 'media'", "interactions", "ended_at", "handled", 0),
    "cost_per_contact_labour": ("pool = 'labour'", "interactions", "ended_at", "handled", 0),
    "cost_per_order_placed": (SALES, "orders", "placed_at", "true", 0),
    "cost_per_valid_order": (SALES, "orders", "placed_at", "valid", 7),
    "cost_per_valid_order_with_media": (
        "purpose = 'sales'", "orders", "placed_at", "valid", 7),
    "cost_per_net_order": (SALES, "orders", "placed_at", "net_kept", 45),
}


# ---- both sides -------------------------------------------------------------------------------

def local_day(column, zone, grain="1d"):
    """The start of the local day, or month, as microseconds."""
    unit = {"1d": "day", "1mo": "month"}[grain]
    local = f"date_trunc('{unit}', {column} AT TIME ZONE '{zone}')"
    return f"epoch_us({local} AT TIME ZONE '{zone}')"


def by_hand(connection, kpi, bounds, zone, split):
    """The KPI from DuckDB: {(cut, day): (a, b)}."""
    keys = [kpi.cut, local_day(kpi.time, zone, kpi.grain)] if split else ["NULL", "NULL"]
    group = "GROUP BY 1, 2" if split else ""
    a, b = kpi.a, kpi.b or "NULL"
    if split and kpi.table in ("costs", "contact_money"):
        # Days of another zone than that of the lines have no cost of their own.
        a = f"CASE WHEN bool_and({keys[1]} = epoch_us(day_at)) THEN {a} END"
    counted = f"NOT is_test AND {kpi.time} IS NOT NULL AND {kpi.where}"
    rows_of = f"(SELECT * FROM {kpi.table} WHERE {counted})"
    if kpi.last_of:
        rows_of = (f"(SELECT * FROM {rows_of} QUALIFY row_number() OVER (PARTITION BY "
                   f"{keys[0]}, {keys[1]}, {kpi.last_of} ORDER BY {kpi.time} DESC, score DESC) = 1)")
    if kpi.together:
        return together_by_hand(connection, kpi, keys, rows_of)
    sql = f"SELECT {keys[0]}, {keys[1]}, {a}, {b} FROM {rows_of} {group}"
    rows = connection.execute(sql.format(**bounds)).fetchall()
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def together_by_hand(connection, kpi, keys, rows_of):
    """How many rows there were at once at most: the most that were there when one came."""
    rows = connection.execute(
        f"""WITH own AS (
              SELECT {keys[0]} AS k, {keys[1]} AS d, row_number() OVER () AS i,
                     epoch_us({kpi.time}) AS t,
                     coalesce(epoch_us({kpi.together}), 4102444800000000) AS u
              FROM {rows_of}
            ),
            there AS (
              SELECT a.k, a.d, a.i, count(b.i) AS there FROM own a LEFT JOIN own b
              ON a.k IS NOT DISTINCT FROM b.k AND a.d IS NOT DISTINCT FROM b.d
                AND b.t <= a.t AND b.u > a.t
              GROUP BY ALL
            )
            SELECT k, d, max(there) FROM there GROUP BY ALL""").fetchall()
    return {(row[0], row[1]): (row[2], None) for row in rows}


def per_unit_by_hand(connection, kpi, bounds):
    """A KPI over costs and something else, in total over the posted days on which both are
    complete: those are days of the zone of the lines, whatever zone is asked in."""
    spent, table, time, counted, days = PER_UNIT[kpi]
    mature = bounds["horizon"] - days * DAY_MS * 1000 if days else 2**62
    end = connection.execute(
        f"SELECT max(epoch_us(day_ends_at)) FROM costs WHERE NOT is_test "
        f"AND epoch_us(day_ends_at) <= {mature}").fetchone()[0] or 0
    a = connection.execute(
        f"SELECT sum(amount) FROM costs WHERE NOT is_test AND {spent} "
        f"AND epoch_us(day_at) < {end}").fetchone()[0]
    b = connection.execute(
        f"SELECT count(*) FROM {table} WHERE NOT is_test AND {counted} "
        f"AND epoch_us({time}) < {end}").fetchone()[0]
    return a, b


def ask(binary, data, ids, zone, *options):
    """The rows of `callgauge kpi`."""
    command = [binary, "kpi", *ids, "--data", str(data), "--zone", zone, "--format", "json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["rows"] if isinstance(answer, dict) else answer


def same(ours, theirs, exact):
    """Equal; values of a division may differ in the last place."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    ours, theirs = float(ours), float(theirs)
    return ours == theirs or (not exact and abs(ours - theirs) <= 1e-12 * abs(theirs))


class Check:
    """Compares and counts."""

    def __init__(self, horizon):
        self.horizon = horizon
        self.compared, self.unknown, self.wrong = 0, 0, []

    def is_unknown(self, kpi, row):
        """Does a row say nothing at all, of a time of which nothing can be known? That is after
        the data, or of rows that mature, where they are too young; its 0 would mean nothing."""
        if any(row[name] is not None for name in ("value", "numerator", "denominator")):
            return False
        if "{horizon}" in f"{kpi.a} {kpi.b} {kpi.where}":
            return True
        day = row["period_start"]
        return day is not None and micros(day) >= self.horizon

    def row(self, what, kpi, row, pair):
        """One row of ours against the aggregates of theirs."""
        a, b = pair
        if self.is_unknown(kpi, row) and not any(number(x) for x in pair):
            self.unknown += 1
            return
        pairs = [("value", number(row["value"]), kpi.value(number(a), number(b)), False)]
        if kpi.b is not None:
            pairs.append(("denominator", number(row["denominator"]), number(b), True))
            if kpi.factor == 1.0:
                pairs.append(("numerator", number(row["numerator"]), number(a), True))
        for name, ours, theirs, exact in pairs:
            self.compared += 1
            if not same(ours, theirs, exact):
                self.wrong.append(f"{what}: {name} is {ours}, DuckDB says {theirs}")

    def one(self, what, ours, theirs, equal):
        """One number of ours against one of theirs."""
        self.compared += 1
        if not equal(ours, theirs):
            self.wrong.append(f"{what}: value is {ours}, by hand it is {theirs}")

    def groups(self, kpi_id, kpi, zone, rows, theirs):
        """All groups of one KPI; a group without a counted row may be missing on either side."""
        known = dict(theirs)
        for row in rows:
            day = micros(row["period_start"]) if row["period_start"] else None
            cut = row["dims"].get(kpi.cut)
            where = f"{kpi_id} {cut} {row['period_start']} ({zone})"
            pair = known.pop((cut, day), None)
            if pair is not None:
                self.row(where, kpi, row, pair)
            elif number(row["value"]) != kpi.empty:
                self.wrong.append(f"{where}: value is {row['value']}, DuckDB has no row")
        for key, pair in known.items():
            self.compared += 1
            if kpi.value(number(pair[0]), number(pair[1])) not in (None, 0):
                self.wrong.append(f"{kpi_id} {key} ({zone}): missing, DuckDB has {pair}")


def compare_single(check, connection, tables, bounds, arguments, zone):
    """Every KPI over one table, in total and by group and day."""
    kpis = {i: k for i, k in all_kpis().items() if k.table in tables}
    cuts = sorted({(kpi.cut, kpi.grain) for kpi in kpis.values()})
    for row in ask(arguments.bin, arguments.data, kpis, zone):
        kpi = kpis[row["kpi"]]
        theirs = by_hand(connection, kpi, bounds, zone, split=False)
        check.row(f"{row['kpi']} ({zone})", kpi, row, theirs[(None, None)])
    for cut, grain in cuts:
        ids = [i for i, kpi in kpis.items() if (kpi.cut, kpi.grain) == (cut, grain)]
        rows = ask(arguments.bin, arguments.data, ids, zone, "--by", cut, "--grain", grain)
        for kpi_id in ids:
            kpi = kpis[kpi_id]
            theirs = by_hand(connection, kpi, bounds, zone, split=True)
            own = [row for row in rows if row["kpi"] == kpi_id]
            check.groups(kpi_id, kpi, zone, own, theirs)


def compare_per_unit(check, connection, tables, bounds, arguments, zone):
    """The KPIs over two tables, in total."""
    ids = [i for i, entry in PER_UNIT.items() if {"costs", entry[1]} <= tables]
    for row in ask(arguments.bin, arguments.data, ids, zone) if ids else []:
        pair = per_unit_by_hand(connection, row["kpi"], bounds)
        check.row(f"{row['kpi']} ({zone})", Kpi("", "", "", "", "b"), row, pair)


def compare_office(check, connection, tables, bounds, arguments, zone):
    """The KPIs over two tables of which one has days or months of the report's zone, in total."""
    expected = office.totals(connection, tables, bounds, zone)
    for row in ask(arguments.bin, arguments.data, expected, zone) if expected else []:
        ours, theirs = number(row["value"]), number(expected[row["kpi"]])
        check.compared += 1
        if not same(ours, theirs, False):
            check.wrong.append(f"{row['kpi']} ({zone}): value is {ours}, DuckDB says {theirs}")


def main():
    """Compares and reports."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--bin")
    parser.add_argument("--zone", action="append")
    arguments = parser.parse_args()
    arguments.bin = find_binary(arguments.bin)
    connection, tables, bounds = open_tables(arguments.data)
    check = Check(bounds["horizon"])
    for zone in arguments.zone or ZONES:
        office.zone_tables(connection, tables, bounds, zone)
        compare_single(check, connection, tables, bounds, arguments, zone)
        compare_per_unit(check, connection, tables, bounds, arguments, zone)
        compare_office(check, connection, tables, bounds, arguments, zone)

    def asked(ids, zone, *options):
        return ask(arguments.bin, arguments.data, ids, zone, *options)

    compare_question(check, connection, tables, bounds, asked)
    for line in check.wrong[:50]:
        print(line)
    horizon = datetime.datetime.fromtimestamp(bounds["horizon"] / 1e6, datetime.timezone.utc)
    print(f"{check.compared} numbers compared with DuckDB {duckdb.__version__} "
          f"(data complete up to {horizon:%Y-%m-%d %H:%M} UTC; {check.unknown} rows are of times "
          f"that are not known), {len(check.wrong)} differ")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
