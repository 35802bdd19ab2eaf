"""What an expected figure of a worked example asks: a KPI or, where facts alone answer, SQL."""
import dataclasses
import datetime
import zoneinfo

import oracle_agents as agents
import oracle_staffing as staffing
import oracle_time as overlaps
import oracle_trade as trade
import oracle_worlds as worlds
from callgauge_cli import UTC, micros, rfc3339
from oracle_ask import Question, count_if, facts, plain, ratio, sql
from oracle_worlds import BASE, DAY, Unsupported

SERVICE_LEVELS = {
    "SL1": "service_level_answered_only", "SL2": "service_level_all_abandons",
    "SL3": "service_level", "SL4": "service_level_early_abandons_out",
    "SL5": "service_level_early_abandons_met", "SL6": "service_level_flow_outs",
    "SL6a": "service_level_flow_outs_all", "SL7": "service_level_removed",
    "SL8": "service_level_no_abandons", "SL9": "service_level_live",
}
SHORT_IN = {"SL3", "SL6", "SL9"}
ABANDONMENT = {
    "AB1": "abandon_rate_all", "AB2": "abandon_rate", "AB3": "abandon_rate_short_in_base",
    "AB4": "abandon_rate_of_offered", "AB2fo": "abandon_rate_flow_outs",
    "AB5": "abandon_rate_app_queue",
}
VISITS = "FROM facts.queue_visits WHERE"


def ms(seconds):
    return round(seconds * 1000)


def month_of(column):
    """A time's month in UTC, as 2025-03."""
    return f"substr(CAST({column} AS VARCHAR), 1, 7)"


def threshold(case, expected):
    """The threshold as an inclusive number of ms: `wait < T` is `wait <= T - 1 ms`."""
    given = expected.get("group", {}).get("threshold_s", case["params"].get("threshold_s", 20))
    return ms(given) - (0 if case["params"].get("threshold_inclusive", True) else 1)


def short_limit(case):
    """Abandons with a smaller wait are short: `wait <= s` is `wait < s + 1 ms`."""
    return ms(case["params"].get("short_abandon_s", 5)) + (
        1 if case["params"].get("short_inclusive") else 0)


def service_level(case, expected):
    variant = expected.get("variant", "SL3")
    if variant == "SL5_timeout_as_abandon":
        over = "answered OR abandoned OR outcome = 'timeout'"
        met = f"({over}) AND wait_ms <= {threshold(case, expected)}"
        return ratio(count_if(met), count_if(over), "facts.queue_visits")
    if variant not in SERVICE_LEVELS:
        raise Unsupported(f"no service level counts {variant}")
    params, by_queue = [], ()
    if "thresholds" in case["inputs"]:
        by_queue = tuple((row["queue"], "threshold", f"{ms(row['threshold_s'])}ms")
                         for row in case["inputs"]["thresholds"])
    else:
        params.append(("threshold", f"{threshold(case, expected)}ms"))
    if variant in SHORT_IN:
        params.append(("short_abandon", f"{short_limit(case)}ms"))
    as_of = expected.get("group", {}).get("as_of_s")
    return Question(
        kpi=SERVICE_LEVELS[variant], params=tuple(params), by_queue=by_queue,
        as_of=None if as_of is None else BASE + worlds.us(as_of))


def service_level_interaction(case, expected):
    """By contact: its wait in all queues up to the first answer."""
    before = ("min(visit_no) FILTER (WHERE answered) OVER (PARTITION BY interaction_id)")
    stays = f"SELECT *, {before} AS answer_no FROM facts.queue_visits"
    waits = (f"SELECT bool_or(answered) AS answered, bool_or(abandoned) AS abandoned, "
             f"sum(wait_ms) FILTER (WHERE visit_no <= answer_no) AS wait_ms FROM ({stays}) "
             f"GROUP BY interaction_id")
    met = f"answered AND wait_ms <= {threshold(case, expected)}"
    return ratio(count_if(met), count_if("answered OR abandoned"), f"({waits})")


def abandon_rate(case, expected):
    variant = expected["variant"]
    params = ()
    if variant in ("AB2", "AB3", "AB2fo"):
        params = (("short_abandon", f"{short_limit(case)}ms"),)
    return Question(kpi=ABANDONMENT[variant], params=params)


def answer_rate(case, expected):
    if "base" in expected.get("variant", ""):
        base = ("answered OR abandoned OR outcome IN "
                "('full', 'leave_empty', 'join_empty', 'timeout')")
        return ratio(count_if("answered"), count_if(base), "facts.queue_visits")
    return Question(kpi="answer_rate", sql="SELECT " + count_if("answered") + " AS num, "
                    + count_if("NOT blocked AND NOT waiting") + " AS den " + VISITS + " true")


def abandon_rate_interaction(case, expected):
    if expected["variant"].endswith("of answered or abandoned"):
        return Question(kpi="abandon_rate_interaction")
    if expected["variant"] == "never answered, of all":
        return ratio(count_if("abandoned AND NOT handled"), "count(*)", "facts.interactions")
    return sql("count(DISTINCT interaction_id) FILTER (WHERE abandoned) AS num, "
               "count(DISTINCT interaction_id) AS den FROM facts.queue_visits")


def visits(condition):
    return lambda case, expected: sql(f"count(*) AS value {VISITS} {condition}")


def counted(cohort, event):
    """A count that has an id per clock. A case without word means its own clock."""
    def build(case, expected):
        clock = expected.get("group", {}).get("clock") or case["clock"]
        agent = expected.get("group", {}).get("agent")
        if agent and cohort == "answered":
            return sql(f"count(*) AS value {VISITS} answered AND agent_id = '{agent}'")
        by_event = clock == "event" and event and "interval" in expected.get("group", {})
        return Question(kpi=event if by_event else cohort, empty_is_zero=True)
    return build


def asa(case, expected):
    clock = expected.get("group", {}).get("clock", "cohort")
    return Question(kpi="asa_event" if clock == "event" else "asa")


def percentile(case, expected):
    p = expected["group"]["p"]
    if expected["variant"] == "linear":
        return sql(f"percentile_cont({p / 100}) WITHIN GROUP (ORDER BY wait_ms) AS value "
                   f"{VISITS} answered")
    queue = expected["group"].get("queue")
    only = f" AND queue_id = '{queue}'" if queue else ""
    fallback = (f"SELECT percentile(histogram(wait_up_s), {p / 100}) * 1000 AS value "
                f"{VISITS} answered{only}")
    return Question(kpi=f"wait_p{p}", sql=fallback)


# ---- handling -------------------------------------------------------------------------------


COUNTED_LEGS = "facts.legs WHERE role NOT IN ('monitor', 'barge') AND completed_at IS NOT NULL"


def aht(case, expected):
    variant = expected.get("variant", "per leg")
    if variant == "per interaction":
        return Question(kpi="aht_interaction")
    if variant.endswith("consult time out"):
        return ratio("sum(handle_ms)", count_if("handled"), COUNTED_LEGS + " AND handled")
    initiation = expected.get("group", {}).get("initiation")
    if initiation:
        name = {"inbound": "queue"}.get(initiation, initiation)
        return ratio("sum(handle_ms)", count_if("handled"),
                     f"{COUNTED_LEGS} AND initiation = '{name}'")
    return Question(kpi="aht")


def either(first, second, word):
    """`second` if the variant has the word, else `first`."""
    return lambda case, expected: Question(
        kpi=second if word in expected.get("variant", "") else first)


def leg_time(kpi, column):
    """A sum of time over legs; by agent, interval and clock."""
    def build(case, expected):
        if expected.get("group", {}).get("clock") == "spread":
            return Question(kpi="contact_time", empty_is_zero=True)
        agent = expected.get("group", {}).get("agent")
        only = f" AND agent_id = '{agent}'" if agent else ""
        start = interval_of(case, expected.get("group", {}))
        if start is not None:
            end = rfc3339(start + worlds.us(case["params"]["interval_s"]))
            only += (f" AND completed_at >= TIMESTAMP '{rfc3339(start)}'"
                     f" AND completed_at < TIMESTAMP '{end}'")
        total = f"SELECT coalesce(sum({column}), 0) AS value FROM {COUNTED_LEGS}{only}"
        return Question(kpi=kpi, sql=total, empty_is_zero=True)
    return build


def legs(condition, agent=True):
    def build(case, expected):
        name = expected.get("group", {}).get("agent")
        only = f" AND agent_id = '{name}'" if name and agent else ""
        return sql(f"count(*) AS value FROM facts.legs WHERE {condition}{only}")
    return build


def state_time(case, expected):
    """Time of a login or pause inside one interval or day."""
    group = expected["group"]
    if "day" in group:
        start = micros(group["day"])
    else:
        start = micros(case["inputs"]["agent_intervals"][0]["start"][:11] + group["interval"])
    if group["state"] not in ("login", "pause"):
        return overlaps.state_slice(case, group, start)
    begin, end = rfc3339(start), rfc3339(start + worlds.us(case["params"]["interval_s"]))
    inside = (f"ms_between(greatest(started_at, TIMESTAMP '{begin}'), "
              f"least(ended_at, TIMESTAMP '{end}'))")
    timeline = ("timeline = 'session'" if group["state"] == "login"
                else "timeline = 'status' AND state = 'break'")
    return sql(f"sum(greatest(0, {inside})) AS value FROM facts.agent_states "
               f"WHERE {timeline} AND agent_id = '{group['agent']}'")


def carried(case, expected):
    """Visits that wait at the start or the end of an interval."""
    start = interval_of(case, expected["group"])
    length = worlds.us(case["params"]["interval_s"])
    at = rfc3339(start + (length if expected["metric"] == "carried_out" else 0))
    return sql(f"count(*) AS value {VISITS} entered_at < TIMESTAMP '{at}' "
               f"AND left_at >= TIMESTAMP '{at}'")


# ---- contacts that return, surveys ----------------------------------------------------------


def links(case, expected):
    """The rows of the links that a rate is over, its window, and the maturity condition."""
    group = expected.get("group", {})
    scope = "any" if group.get("scope") == "any issue" else "issue"
    window = round(group["window_days"] * DAY / 1000)
    horizon = rfc3339(BASE + case["params"].get("horizon_day", 60) * DAY)
    mature = f"ms_between(contact_at, TIMESTAMP '{horizon}') >= {window}"
    return f"facts.repeat_links WHERE scope = '{scope}'", window, mature


def fcr(case, expected):
    variant, group = expected["variant"], expected.get("group", {})
    if variant == "agent flag":
        return Question(kpi="fcr_agent_flag")
    if variant == "survey":
        return Question(kpi="fcr_survey")
    table, window, mature = links(case, expected)
    days = (("window", f"{group['window_days']}d"),)
    same = group.get("scope") != "any issue"
    if variant == "first contacts, matured":
        return Question(kpi="fcr" if same else "fcr_any_issue", params=days)
    if variant == "matured" and same:
        return Question(kpi="fcr_forward", params=days)
    if variant == "matured":
        table += f" AND {mature}"
    if variant.startswith("first contacts"):
        table += f" AND (prev_gap_ms IS NULL OR prev_gap_ms > {window})"
    kept = f"(next_gap_ms IS NULL OR next_gap_ms > {window})"
    return ratio(count_if(kept), "count(*)", table)


def repeat_rate(case, expected):
    variant, group = expected["variant"], expected.get("group", {})
    table, window, mature = links(case, expected)
    days = (("window", f"{group['window_days']}d"),)
    same = group.get("scope") != "any issue"
    if variant == "look-back":
        return Question(kpi="repeat_rate" if same else "repeat_rate_any_issue", params=days)
    if variant == "look-forward, matured":
        if same:
            return Question(kpi="repeat_rate_forward", params=days)
        table += f" AND {mature}"
    return ratio(count_if(f"next_gap_ms <= {window}"), "count(*)", table)


def matured(case, expected):
    table, _, mature = links(case, expected)
    return sql(f"count(*) AS value FROM {table} AND {mature}")


def repeat_customers(case, expected):
    table, window, _ = links(case, expected)
    again = f"count(DISTINCT customer_id) FILTER (WHERE prev_gap_ms <= {window})"
    return ratio(again, "count(DISTINCT customer_id)", table)


def nps(case, expected):
    variant = expected.get("variant", "all answers")
    if variant.startswith("first"):
        order = "row_number() OVER (PARTITION BY customer_id ORDER BY answered_at)"
        first = (f"(SELECT score, {order} AS place FROM facts.surveys "
                 "WHERE instrument = 'nps' AND customer_id IS NOT NULL AND score IS NOT NULL)")
        net = f"100 * ({count_if('score >= 9')} - {count_if('score <= 6')})"
        return ratio(net, "count(*)", f"{first} WHERE place = 1")
    kpi = "nps_last_per_customer" if variant.startswith("last") else "nps"
    return Question(kpi=kpi)


def csat(case, expected):
    if expected.get("group", {}).get("clock") == "contact":
        return Question(kpi="csat_by_contact")
    return Question(kpi="csat_top1" if "top 1" in expected["variant"] else "csat")


def scores(condition):
    return facts(f"count(*) AS value FROM facts.surveys WHERE instrument = 'nps' AND {condition}")


def survey_response_rate(case, expected):
    # The cases take every survey, however young: the window is nothing.
    month = expected.get("group", {}).get("month")
    only = f"{month_of('sent_at')} = '{month}'" if month else "true"
    fallback = ratio(count_if("answered_at IS NOT NULL"), "count(*)",
                     f"facts.surveys WHERE {only}")
    return Question(kpi="survey_response_rate", params=(("window", "0d"),), sql=fallback.sql)


# ---- orders and cost ------------------------------------------------------------------------


def return_rate(case, expected):
    variant, group = expected.get("variant", ""), expected.get("group", {})
    forms = {
        "orders with a return": (count_if("lines_returned > 0"), "count(*)"),
        "orders returned completely": (count_if("returned_at IS NOT NULL"), "count(*)"),
        "lines": ("sum(lines_returned)", "sum(lines)"),
        "value": ("sum(value_returned)", "sum(value_gross)"),
        "returned / shipped": (count_if("returned_at IS NOT NULL"),
                               count_if("shipped_at IS NOT NULL")),
    }
    if variant in forms:
        return ratio(*forms[variant], "facts.orders")
    delivered = "facts.orders WHERE delivered_at IS NOT NULL"
    if "age_days" in group:
        day = rfc3339(BASE + group["cohort_day"] * DAY)
        back = f"ms_between(placed_at, returned_at) <= {group['age_days'] * 86_400_000}"
        return ratio(count_if(back), "count(*)", f"{delivered} AND placed_at = TIMESTAMP '{day}'")
    if "window_days" in group:
        window, end = group["window_days"], rfc3339(BASE + group["horizon_day"] * DAY)
        back = f"ms_between(placed_at, returned_at) <= {window * 86_400_000}"
        old = f"ms_between(placed_at, TIMESTAMP '{end}') >= {window * 86_400_000}"
        return ratio(count_if(back), "count(*)", f"{delivered} AND {old}")
    if "month" in group:
        def in_month(column):
            return f"{month_of(column)} = '{group['month']}'"
        if group["clock"] == "event":
            return ratio(count_if(in_month("returned_at")), count_if(in_month("delivered_at")),
                         "facts.orders")
        return ratio(count_if("returned_at IS NOT NULL"), "count(*)",
                     f"{delivered} AND {in_month('placed_at')}")
    return ratio(count_if("returned_at IS NOT NULL"), "count(*)", delivered)


def net_order_rate(case, expected):
    month = f"{month_of('placed_at')} = '{expected['group']['month']}'"
    text = ratio(count_if("net_kept"), "count(*)", f"facts.orders WHERE {month}").sql
    return Question(kpi="net_order_rate", sql=text, grain="1mo",
                    at=micros(expected["group"]["month"] + "-01"))


ONE_DAY = (BASE - BASE % DAY, BASE - BASE % DAY + DAY)


def cost_per_order(case, expected):
    costs = "(SELECT sum(amount) FROM facts.costs WHERE purpose = 'sales')"
    if expected["variant"] == "net":
        text = f"SELECT {costs} AS num, {count_if('net_kept')} AS den FROM facts.orders"
        return Question(kpi="cost_per_net_order", sql=text, span=ONE_DAY)
    kpi = {"placed": "cost_per_order_placed", "valid": "cost_per_valid_order"}
    return Question(kpi=kpi[expected["variant"]], span=ONE_DAY)


def cost_per_contact(case, expected):
    return Question(kpi="cost_per_contact", span=ONE_DAY)


def gross_close_rate(case, expected):
    variant = expected.get("variant", "")
    if variant.startswith("credited"):
        return trade.credited_close_rate(case, expected)
    table = "facts.interactions WHERE purpose = 'sales' AND handled"
    if variant == "valid dispositions":
        good = ", ".join(f"'{r['disposition']}'" for r in case["inputs"]["dispositions"]
                         if r["valid"])
        table += f" AND disposition_code IN ({good})"
    text = ratio("sum(orders_placed)", "count(*)", table).sql
    return Question(kpi="" if "valid" in variant else "gross_close_rate", sql=text)


def net_close_rate(case, expected):
    text = ratio("sum(orders_net)", "count(*)",
                 "facts.interactions WHERE purpose = 'sales' AND handled").sql
    return Question(kpi="net_close_rate", sql=text)


def contacts_per_order(case, expected):
    if "reasons" in case["inputs"]:
        return Question(kpi="wismo_rate")
    linked = "WHERE order_id IS NOT NULL" if expected.get("variant") == "linked contacts" else ""
    return sql(f"(SELECT count(*) FROM facts.interactions {linked}) AS num, "
               "(SELECT count(*) FROM facts.orders) AS den")


def transfer_rate(case, expected):
    variant = expected.get("variant", "")
    if variant.startswith("transfers"):
        den = "(SELECT count(*) FROM facts.legs)" if variant.endswith("legs") else "count(*)"
        return ratio("sum(transfers)", den, "facts.interactions")
    return Question(kpi="transfer_rate")


def share_of_contacts(case, expected):
    if "code" in expected["group"]:
        code = f"array_has(disposition_codes, '{expected['group']['code']}')"
        return ratio(count_if(code), "count(*)", "facts.legs")
    reason = expected["group"]["reason"]
    if expected["metric"] == "share_of_contacts":
        return ratio(count_if(f"reason_code = '{reason}'"), "count(*)", "facts.interactions")
    rank = expected["group"]["rank"]
    return sql("sum(n) FILTER (WHERE place <= " + str(rank) + ") AS num, sum(n) AS den FROM "
               "(SELECT count(*) AS n, rank() OVER (ORDER BY count(*) DESC) AS place "
               "FROM facts.interactions GROUP BY reason_code)")


# ---- agents' time, quality -------------------------------------------------------------------


def of_agents(build):
    """A query that the page of agents' time has."""
    return lambda case, expected: sql(build(case, expected))


def time_ratio(kpi):
    """A KPI of one time over another: cases write both in minutes or in seconds."""
    def build(case, expected):
        rows = next(iter(case["inputs"].values()))
        unit = 1 / 60000 if "start_min" in rows[0] else 1 / 1000
        return Question(kpi=kpi, num_factor=unit, den_factor=unit)
    return build


OCCUPANCY = {"ringing left out": "occupancy", "ringing is work": "occupancy_with_ring"}


def occupancy(case, expected):
    variant = expected.get("variant", "ringing left out")
    if variant == "ringing is idle":
        return overlaps.ringing_is_idle()
    return time_ratio(OCCUPANCY[variant])(case, expected)


def utilization(case, expected):
    if expected["variant"] == "handling / logged in":
        return time_ratio("utilization_logged_in")(case, expected)
    return overlaps.of_paid(overlaps.UTILIZATION[expected["variant"]])


def avoidable(case, expected):
    if expected["variant"] == "contacts":
        return Question(kpi="avoidable_rate")
    return sql("sum(handle_ms) FILTER (WHERE avoidable) / 60000 AS num, "
               "sum(handle_ms) / 60000 AS den FROM facts.contact_reasons")


def critical_errors(case, expected):
    if expected.get("variant", "").startswith("weighted"):
        return sql(agents.weighted_errors(case, expected))
    return Question(kpi="critical_error_rate")


CLOSURE = {
    "closed within the promise": "closure_rate",
    "event form: closed in the period / opened in the period": "closure_rate_event",
}


def closure_rate(case, expected):
    params = case["params"]
    span = (BASE + params["period_from"] * DAY, BASE + params["period_to"] * DAY + worlds.us(3600))
    if expected["variant"] == "closed by the cut-off":
        begin, end = (rfc3339(at) for at in span)
        closed = f"closed_at <= TIMESTAMP '{rfc3339(BASE + params['cut_off'] * DAY)}'"
        return ratio(count_if(closed), "count(*)", "facts.cases WHERE NOT merged AND opened_at >= "
                     f"TIMESTAMP '{begin}' AND opened_at < TIMESTAMP '{end}'")
    return Question(kpi=CLOSURE[expected["variant"]], span=span)


# ---- calendars ------------------------------------------------------------------------------


def zone_of(name):
    try:
        return zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError as error:
        raise Unsupported(f"Python has no time zone data here: {error}") from error


def quarter_hours(first, last):
    """A table of times, one every 15 minutes."""
    return (f"(SELECT unnest(generate_series(TIMESTAMP '{rfc3339(first)}', "
            f"TIMESTAMP '{rfc3339(last)}', INTERVAL '15 minutes')) AS at)")


def day_length(case, expected):
    """Quarter hours whose bucket is the day, counted by the engine from a list of times."""
    row = case["inputs"]["days"][0]
    zone, day = zone_of(row["zone"]), datetime.date.fromisoformat(row["date"])
    # A day that a zone skipped has no start: the next one begins at the same moment.
    begin = datetime.datetime.combine(day, datetime.time(), zone).astimezone(UTC)
    if begin.astimezone(zone).date() != day:
        return sql(f"{skipped_day(zone, day)} AS value")
    first, last = micros(begin) - 2 * DAY, micros(begin) + 3 * DAY
    start = rfc3339(micros(begin))
    return sql(
        f"count(*) / 4.0 AS value FROM {quarter_hours(first, last)} "
        f"WHERE kpi_bucket(at, '1d', '{row['zone']}') = TIMESTAMP '{start}'")


def day_buckets(case, expected):
    """How many buckets the hours of a local day fall into."""
    row = case["inputs"]["days"][0]
    start = day_start(row["date"], row["zone"])
    next_day = datetime.date.fromisoformat(row["date"]) + datetime.timedelta(1)
    last = day_start(next_day.isoformat(), row["zone"]) - worlds.us(900)
    return sql(f"count(DISTINCT kpi_bucket(at, '1d', '{row['zone']}')) AS value "
               f"FROM {quarter_hours(start, last)}")


def skipped_day(zone, day):
    """Do the buckets go from the day before straight to the day after? Then 0 hours."""
    noon = datetime.time(12)
    days = [datetime.datetime.combine(day + datetime.timedelta(n), noon, zone) for n in (-1, 1)]
    before, after = (rfc3339(micros(d.astimezone(UTC))) for d in days)
    buckets = [f"kpi_bucket(TIMESTAMP '{at}', '1d', '{zone.key}')" for at in (before, after)]
    return f"ms_between({buckets[0]}, {buckets[1]}) / 3600000.0 - 24.0"


def hour_buckets(case, expected):
    zone, day = case["params"]["zone"], expected["group"]["day"]
    start = day_start(day, zone)
    return sql(
        f"count(DISTINCT kpi_bucket(at, '1h', '{zone}')) AS value "
        f"FROM {quarter_hours(start - DAY, start + 3 * DAY)} "
        f"WHERE kpi_bucket(at, '1d', '{zone}') = TIMESTAMP '{rfc3339(start)}'")


def day_start(day, zone):
    local = datetime.datetime.fromisoformat(day).replace(tzinfo=zone_of(zone))
    return micros(local.astimezone(UTC))


def interval_of(case, group):
    """The start of the interval that a group names, if it names one."""
    label = group.get("interval")
    if label is None:
        return None
    if len(label) > 5:
        return micros(label)
    return micros(f"{day_of_case(case)}T{label}:00")


def day_of_case(case):
    for rows in case["inputs"].values():
        for row in rows:
            for name in ("entered", "start", "disconnected"):
                if isinstance(row.get(name), str):
                    return row[name][:10]
    return "2025-03-03"


def placed(question, case, group):
    """The question with the bucket that the group names."""
    zone = case["params"].get("zone", "UTC")
    start = interval_of(case, group)
    if start is not None:
        length = case["params"].get("interval_s", 1800)
        grain = {900: "15m", 1800: "30m", 3600: "1h"}[length]
        return dataclasses.replace(question, grain=grain, at=start, zone=zone)
    if "day" in group and "-" in str(group["day"]):
        at = day_start(group["day"], zone)
        return dataclasses.replace(question, grain="1d", at=at, zone=zone)
    if "month" in group:
        at = day_start(group["month"] + "-01", zone)
        return dataclasses.replace(question, grain="1mo", at=at, zone=zone)
    if "week" in group:
        monday = datetime.datetime.strptime(group["week"] + "-1", "%G-W%V-%u").date()
        at = day_start(monday.isoformat(), zone)
        return dataclasses.replace(question, grain="1w", at=at, zone=zone)
    return question


DIMENSIONS = {
    "queue": "queue_id", "agent": "agent_id", "team": "team_id", "channel": "channel",
    "part": "queue_id", "segment": "queue_id",
}


def split(question, group):
    """The question with the dimensions that the group names."""
    dims = []
    for name, column in DIMENSIONS.items():
        if name in group:
            value = f"part{group[name]}" if name == "part" else str(group[name])
            dims.append((column, value))
    return dataclasses.replace(question, dims=tuple(dims))


UNITS = {
    "percent": (100.0, 1.0), "seconds": (1 / 1000, 1 / 1000), "minutes": (1 / 60000, 1 / 60000),
}


def question(case, expected):
    """What to ask for one expected figure."""
    models = staffing.METRICS if "model" in case["inputs"] else METRICS
    build = models.get(expected["metric"])
    if build is None:
        raise Unsupported(f"no KPI or fact says '{expected['metric']}' yet")
    asked, group = build(case, expected), expected.get("group", {})
    if asked.kpi and asked.at is None:
        asked = placed(asked, case, group)
    if asked.kpi and not asked.dims:
        asked = split(asked, group)
    factor, num_factor = UNITS.get(expected["unit"], (1.0, 1.0))
    return dataclasses.replace(
        asked, factor=asked.factor * factor, num_factor=asked.num_factor * num_factor)


INTERACTION_WAIT = "sum(wait_ms) AS num, count(*) AS den FROM facts.interactions WHERE handled"
CONTACT_COUNT = "count(*) AS value FROM facts.interactions"

METRICS = {
    **overlaps.METRICS,
    **trade.METRICS,
    "service_level": service_level,
    "service_level_interaction": service_level_interaction,
    "first_response_time": plain("first_reply_time"),
    "one_touch_rate": plain("fcr_one_touch"),
    "abandon_rate": abandon_rate,
    "abandon_rate_interaction": abandon_rate_interaction,
    "answer_rate": answer_rate,
    "offered": plain("offered", empty_is_zero=True),
    "answered": counted("answered", "answered_event"),
    "abandoned": counted("abandoned", "abandoned_event"),
    "handled": plain("handled", empty_is_zero=True),
    "saturated": visits("outcome IN ('full', 'overflow')"),
    "blocked": visits("outcome IN ('join_empty', 'leave_empty')"),
    "timeout_calls": visits("outcome = 'timeout'"),
    "queue_visits": visits("true"),
    "offers": facts("sum(offers) AS value FROM facts.queue_visits"),
    "offers_rejected": facts("sum(offers_missed) AS value FROM facts.queue_visits"),
    "short_abandons": lambda case, expected: sql(
        f"count(*) AS value {VISITS} abandoned AND wait_ms < {short_limit(case)}"),
    "flow_out_rate": plain("flow_out_rate", f"SELECT {count_if('flowed_out')} AS num, "
                           f"{count_if('NOT blocked')} AS den {VISITS} true"),
    "callback_rate": facts("count(*) FILTER (WHERE outcome = 'callback') AS num, "
                           f"{count_if('NOT blocked')} AS den {VISITS} true"),
    "voicemail_rate": facts("count(*) FILTER (WHERE outcome = 'voicemail') AS num, "
                            f"{count_if('NOT blocked')} AS den {VISITS} true"),
    "asa": asa,
    "asa_interaction": facts(INTERACTION_WAIT),
    "avg_wait": plain("avg_wait"),
    "avg_abandon_wait": plain("avg_wait_abandoned"),
    "max_wait": plain("longest_wait"),
    "wait": facts(f"sum(wait_ms) AS value {VISITS} answered"),
    "wait_percentile": percentile,
    "carried_in": carried,
    "carried_out": carried,
    "queue_duration": facts(f"wait_ms AS value {VISITS} interaction_id = 'contact-1'"),
    "queue_wait": facts(f"wait_ms AS value {VISITS} interaction_id = 'contact-2'"),
    "initial_delay": facts(
        "ms_between(c.requested_at, v.entered_at) AS value FROM facts.callbacks c "
        "CROSS JOIN facts.queue_visits v WHERE v.interaction_id = 'contact-2'"),
    "queue_duration_with_initial_delay": facts(
        "ms_between(c.requested_at, v.left_at) AS value FROM facts.callbacks c "
        "CROSS JOIN facts.queue_visits v WHERE v.interaction_id = 'contact-2'"),
    "customer_wait_total": facts("wait_total_ms AS value FROM facts.callbacks"),
    "aht": aht,
    "avg_talk": plain("avg_talk"),
    "avg_hold": either("avg_hold", "avg_hold_held_only", "legs that were held"),
    "avg_acw": either("avg_acw", "avg_acw_when_used", "legs with"),
    "hold_rate": plain("hold_rate", f"SELECT {count_if('handled AND hold_count > 0')} AS num, "
                       f"{count_if('handled')} AS den FROM {COUNTED_LEGS}"),
    "acw_time": leg_time("acw_time", "acw_ms"),
    "talk_time": leg_time("talk_time", "talk_ms"),
    "handle_time": leg_time("handle_time", "handle_ms"),
    "contact_time": leg_time("handle_time", "handle_ms"),
    "duration": leg_time("talk_time", "talk_ms"),
    "contradictions": facts("count(*) AS value FROM facts.issues WHERE kind = 'bad_order'"),
    "open_legs": legs("completed_at IS NULL"),
    "inferred_ends": legs("inferred"),
    "transfers_out": legs("transferred_out"),
    "transfers_in": legs("initiation LIKE 'transfer_%'"),
    "interactions": facts(CONTACT_COUNT),
    "customer_time": facts("sum(experience_ms) AS value FROM facts.interactions"),
    "state_time": state_time,
    "fcr": fcr,
    "repeat_rate": repeat_rate,
    "repeat_rate_customers": repeat_customers,
    "matured": matured,
    "anonymous": facts(CONTACT_COUNT + " WHERE customer_id IS NULL"),
    "contacts_per_customer": facts("count(customer_id) AS num, count(DISTINCT customer_id) "
                                   "AS den FROM facts.interactions"),
    "distinct_customers": lambda case, expected: sql(
        "count(DISTINCT customer_id) AS value FROM facts.interactions" + (
            f" WHERE started_at = TIMESTAMP '{rfc3339(BASE + expected['group']['day'] * DAY)}'"
            if "group" in expected else "")),
    "nps": nps,
    "promoters": scores("score >= 9"),
    "passives": scores("score BETWEEN 7 AND 8"),
    "detractors": scores("score <= 6"),
    "enps": plain("enps"),
    "csat": csat,
    "csat_mean": plain("csat_mean"),
    "csat_mean_0_100": facts("100 * (sum(score) - count(score)) AS num, 4 * count(score) AS den "
                             "FROM facts.surveys WHERE instrument = 'csat5'"),
    "ces_mean": plain("ces"),
    "ces_index": plain("ces_index"),
    "ces_positive": plain("ces_top3"),
    "survey_response_rate": survey_response_rate,
    "valid_order_rate": plain("valid_order_rate"),
    "net_order_rate": net_order_rate,
    "net_orders": plain("net_orders", "SELECT " + count_if("net_kept")
                        + " AS value FROM facts.orders"),
    "net_close_rate": net_close_rate,
    "gross_close_rate": gross_close_rate,
    "return_rate": return_rate,
    "refusal_rate": facts(f"{count_if('refused_at IS NOT NULL')} AS num, "
                          f"{count_if('shipped_at IS NOT NULL')} AS den FROM facts.orders"),
    "cost_per_order": cost_per_order,
    "cost_per_contact": cost_per_contact,
    # Of the cases, the minutes of work that is no contact are in.
    "cost_per_minute": plain("cost_per_minute_4ps", span=ONE_DAY, num_factor=1 / 60000,
                             den_factor=1 / 60000),
    "contacts_per_order": contacts_per_order,
    "order_contact_rate": facts(
        "count(DISTINCT order_id) AS num, (SELECT count(*) FROM facts.orders) AS den "
        "FROM facts.interactions WHERE order_id IS NOT NULL"),
    "share_of_contacts": share_of_contacts,
    "cumulative_share": share_of_contacts,
    "transfer_rate": transfer_rate,
    "routing_accuracy": plain(
        "routing_accuracy", f"SELECT {count_if('ivr_routed AND handled AND NOT misrouted')} "
        f"AS num, {count_if('ivr_routed AND handled')} AS den FROM facts.interactions"),
    "disposition_coverage": plain(
        "disposition_coverage", f"SELECT {count_if('handled AND dispositioned')} AS num, "
        f"{count_if('handled')} AS den FROM facts.interactions"),
    "code_uses": facts("sum(array_length(disposition_codes)) AS value FROM facts.legs"),
    "session_time": of_agents(agents.slice_sum("contact_sum_ms")),
    "time_on_contact": of_agents(agents.slice_sum("on_contact_ms")),
    "idle_time": of_agents(agents.slice_sum("idle_ms")),
    "time_in_status": of_agents(agents.time_in_status),
    "time_at_concurrency": of_agents(agents.at_concurrency),
    "time_share": of_agents(agents.time_share),
    "avg_concurrency": time_ratio("avg_concurrency"),
    "slot_utilisation": time_ratio("slot_utilization"),
    "occupancy": occupancy,
    "utilization": utilization,
    "shrinkage": plain("shrinkage", num_factor=1 / 3_600_000, den_factor=1 / 3_600_000),
    "turnover": staffing.turnover_of,
    "turnover_annual": staffing.turnover_annual,
    "aht_effective": plain("aht_effective"),
    "aht_session": plain("aht"),
    "critical_error_rate": critical_errors,
    "critical_accuracy": plain("critical_accuracy"),
    "noncritical_error_rate": plain("noncritical_error_rate"),
    "noncritical_error_rate_interactions": plain("noncritical_error_rate_contacts"),
    "critical_errors": facts("sum(critical_errors) AS value FROM facts.evaluations"),
    "wilson_low": of_agents(agents.wilson("-")),
    "wilson_high": of_agents(agents.wilson("+")),
    "qa_critical_score": of_agents(agents.qa_critical_score),
    "evaluation_score": plain("qa_score", factor=100.0, num_factor=1 / 100),
    "qa_score": of_agents(agents.qa_score),
    "qa_score_mean": lambda case, expected: Question(
        kpi="qa_score", factor=100.0, num_factor=1 / 100),
    "ewt_mean_abs_error": plain("ewt_mae"),
    # There an error is what was announced less what it took.
    "ewt_bias": lambda case, expected: Question(kpi="ewt_bias", factor=-1.0, num_factor=-1.0),
    "ewt_within_30s": plain("ewt_within_30s"),
    "answered_before_announced": plain("ewt_kept"),
    "avoidable_rate": avoidable,
    "contacts_per_1000_units": plain("defect_contacts_per_1000"),
    "containment_rate": plain("containment_rate"),
    "completion_rate": plain("self_service_completion"),
    "resolved_containment_rate": plain("resolved_containment_24h"),
    "closure_rate": closure_rate,
    "day_length": day_length,
    "day_buckets": day_buckets,
    "hour_buckets": hour_buckets,
}
