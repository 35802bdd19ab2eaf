"""Worked examples of time that overlaps: states, sessions at a time, stays in queues, stocks."""
from callgauge_cli import micros, rfc3339
from oracle_agents import clocks, slice_sum, status, work
from oracle_ask import ratio, sql
from oracle_staffing import planned
from oracle_worlds import BASE, MINUTE, Unsupported, World, us

VISITS = "facts.queue_visits"


# ---- what happened --------------------------------------------------------------------------


def agent_intervals(case):
    """Logins, pauses, and states of which a contact and its after-call work are one leg."""
    world, leg, rows = World(), None, case["inputs"]["agent_intervals"]
    if not any(row["state"] == "login" for row in rows):
        clocks(world, rows[0]["agent"], micros(rows[0]["start"]), micros(rows[-1]["end"]))
    for row in rows:
        agent, state = row["agent"], row["state"]
        start, end = micros(row["start"]), micros(row["end"])
        if state == "login":
            clocks(world, agent, start, end)
        elif state == "pause":
            status(world, agent, start, "break")
            status(world, agent, end, "available")
        elif state == "on_contact":
            leg = world.name("leg")
            world.connect(start, leg, world.start(start), agent, initiation="direct")
            world.add(end, "leg.disconnected", leg_id=leg)
        elif state == "acw":
            world.add(start, "acw.started", leg_id=leg)
            world.add(end, "acw.ended", leg_id=leg)
        else:
            status(world, agent, start, state)
    world.watermark()
    return world


def paid_states(world, paid):
    """Time that is paid by plan, in or out of a login."""
    for row in paid:
        planned(world, row["agent"], BASE, BASE + us(row["paid_s"]))


def concurrent(case):
    """One session for as long as the agent was at work, and others inside of it for the rest."""
    world, row = World(), case["inputs"]["totals"][0]
    union, rest = row["contact_time_union_s"], row["session_time_s"]
    clocks(world, "A", BASE, BASE + us(union))
    status(world, "A", BASE, "available")
    while rest > 0:
        work(world, "A", BASE, BASE + us(min(rest, union)))
        rest -= union
    world.watermark()
    return world


def logged_on(case):
    """An agent who handles, is ready, and is not ready."""
    world, row = World(), case["inputs"]["totals"][0]
    end = BASE + row["logged_on_min"] * MINUTE
    ready = end - row["not_ready_min"] * MINUTE
    clocks(world, "A", BASE, end)
    status(world, "A", BASE, "available")
    if ready < end:
        status(world, "A", ready, "break")
    work(world, "A", BASE, BASE + row["handle_time_min"] * MINUTE, channel="voice")
    world.watermark()
    return world


def agents_now(case):
    """Agents in a status, some of them still on a contact."""
    world = World()
    for row in case["inputs"]["agents"]:
        for _ in range(row["count"]):
            agent = world.name("agent")
            clocks(world, agent, BASE)
            if row["on_contact"]:
                interaction = world.start(BASE)
                world.connect(BASE, world.name("leg"), interaction, agent, initiation="direct")
            status(world, agent, BASE + MINUTE, row["status"].lower(), row["productive"])
    world.watermark(horizon=BASE + 2 * MINUTE)
    return world


def in_system(case):
    """Stays in queues."""
    world = World()
    for row in case["inputs"]["in_system"]:
        at = BASE + us(row["from_s"])
        interaction = world.start(at)
        wait = row["to_s"] - row["from_s"]
        end, _ = world.visit(at, interaction, "abandoned", wait, row["queue"])
        world.end(end, interaction)
    world.watermark()
    return world


def backlog(case):
    """Contacts that come and go in between, so that as many wait at each moment as a row says."""
    world, waiting = World(), {}
    rows = sorted(case["inputs"]["backlog"], key=lambda row: row["time"])
    for row in rows:
        at, queue = micros(row["time"] + ":00") - MINUTE, waiting.setdefault(row["queue"], [])
        while len(queue) < row["open"]:
            interaction, visit = world.start(at), world.name("visit")
            world.add(at, "queue.entered", visit_id=visit, interaction_id=interaction,
                      queue_id=row["queue"], visit_kind="customer")
            queue.append((interaction, visit))
        while len(queue) > row["open"]:
            interaction, visit = queue.pop(0)
            world.add(at, "queue.left", visit_id=visit, reason="abandoned")
            world.end(at, interaction)
    last = micros(rows[-1]["time"] + ":00")
    world.watermark(horizon=last + MINUTE)
    return world


# ---- what is asked --------------------------------------------------------------------------


def since_base(column):
    return f"ms_between(TIMESTAMP '{rfc3339(BASE)}', {column})"


def union_of(rows):
    """The time that is covered by spans, in ms: columns `since` and `till`, of one agent."""
    before = ("max(till) OVER (ORDER BY since, till "
              "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)")
    return (f"sum(greatest(0, till - greatest(since, coalesce(before, since)))) AS value "
            f"FROM (SELECT since, till, {before} AS before FROM ({rows}))")


def open_at_once(rows):
    """A table of moments (`at`, in ms) with how many spans are open from then on (`open`).

    What ends at a moment is not open any more, so ends and begins of a moment are added up first.
    """
    marks = (f"SELECT since AS at, 1 AS step FROM ({rows}) "
             f"UNION ALL SELECT till AS at, -1 AS step FROM ({rows})")
    moments = f"SELECT at, sum(step) AS step FROM ({marks}) GROUP BY at"
    return f"(SELECT at, sum(step) OVER (ORDER BY at) AS open FROM ({moments}))"


def spans(table, begin, end, expected):
    queue = expected.get("group", {}).get("queue")
    only = f" WHERE queue_id = '{queue}'" if queue else ""
    return f"SELECT {since_base(begin)} AS since, {since_base(end)} AS till FROM {table}{only}"


def contact_time_union(case, expected):
    """Agents' time does not add up over queues: of a queue it is found from its legs."""
    if "queue" not in expected.get("group", {}):
        return sql(slice_sum("on_contact_ms")(case, expected))
    return sql(union_of(spans("facts.legs", "connected_at", "completed_at", expected)))


def max_concurrency(case, expected):
    legs = spans("facts.legs", "connected_at", "completed_at", expected)
    return sql(f"max(open) AS value FROM {open_at_once(legs)}")


def peak_concurrent(case, expected):
    stays = spans(VISITS, "entered_at", "left_at", expected)
    return sql(f"max(open) AS value FROM {open_at_once(stays)}")


def peak_at(case, expected):
    stays = spans(VISITS, "entered_at", "left_at", expected)
    return sql(f"at AS value FROM {open_at_once(stays)} ORDER BY open DESC, at LIMIT 1")


def state_slice(case, group, start):
    """A state in one quarter of an hour: of a leg, its talk or its after-call work is cut out."""
    begin, end = rfc3339(start), rfc3339(start + us(case["params"]["interval_s"]))
    column = {"available": "idle_ms", "break": "break_ms"}.get(group["state"])
    if column:
        return sql(f"sum({column}) AS value FROM facts.agent_slices WHERE slice_at = "
                   f"TIMESTAMP '{begin}' AND agent_id = '{group['agent']}'")
    first, last = {"on_contact": ("connected_at", "disconnected_at"),
                   "acw": ("disconnected_at", "completed_at")}[group["state"]]
    inside = (f"ms_between(greatest({first}, TIMESTAMP '{begin}'), "
              f"least({last}, TIMESTAMP '{end}'))")
    return sql(f"sum(greatest(0, {inside})) AS value FROM facts.legs "
               f"WHERE agent_id = '{group['agent']}'")


# Of agents' time, where no KPI divides it in this way.
SLICES = "facts.agent_slices"
PAID = f"(SELECT sum(paid_ms) FROM facts.schedules) AS den FROM {SLICES}"
SECONDS = {"num_factor": 1 / 1000, "den_factor": 1 / 1000}
MINUTES = {"num_factor": 1 / 60000, "den_factor": 1 / 60000}


def ringing_is_idle():
    return ratio("sum(on_contact_ms)", "sum(on_contact_ms + ring_ms + idle_ms)", SLICES, **SECONDS)


def of_paid(time):
    return sql(f"sum({time}) AS num, {PAID}", **SECONDS)


UTILIZATION = {
    "handling / paid": "on_contact_ms",
    "(handling + ringing + idle + training) / paid":
        "on_contact_ms + ring_ms + idle_ms + training_ms",
    "(occupied + available) / paid": "on_contact_ms + ring_ms + idle_ms",
}


def utilization_cisco(case, expected):
    """Logged on and not not-ready: what is left of a login without the other states."""
    ready = "logged_in_ms - break_ms - meal_ms - training_ms - meeting_ms - other_ms"
    return ratio("sum(on_contact_ms)", f"sum({ready})", SLICES, **MINUTES)


def handle_over_available(case, expected):
    return ratio("sum(contact_sum_ms)", "sum(available_ms)", SLICES, **MINUTES)


NOW = {
    "online": "facts.agent_states WHERE timeline = 'session' AND ended_at IS NULL",
    "on_contact": "facts.legs WHERE disconnected_at IS NULL",
    "non_productive":
        "facts.agent_states WHERE timeline = 'status' AND ended_at IS NULL AND NOT productive",
    "available": "facts.agent_states WHERE timeline = 'status' AND ended_at IS NULL "
                 "AND state = 'available'",
}


def agents_who(case, expected):
    return sql(f"count(DISTINCT agent_id) AS value FROM {NOW[expected['metric']]}")


def available_slots(case, expected):
    raise Unsupported("facts keep the most slots that one channel has, not the slots of each channel")


def stock(case, expected):
    """Contacts that wait at the moments of the case: summed over queues, never over time."""
    moments = sorted({rfc3339(micros(row["time"] + ":00")) for row in case["inputs"]["backlog"]})
    times = " UNION ALL ".join(f"SELECT TIMESTAMP '{at}' AS at" for at in moments)
    queue = expected.get("group", {}).get("queue")
    only = f" AND queue_id = '{queue}'" if queue else ""
    counted = (f"SELECT at, count(visit_id) AS n FROM ({times}) LEFT JOIN {VISITS} "
               f"ON entered_at <= at AND (left_at IS NULL OR left_at > at){only} GROUP BY at")
    return {
        "backlog_last": sql(f"n AS value FROM ({counted}) ORDER BY at DESC LIMIT 1"),
        "backlog_mean": ratio("sum(n)", "count(*)", f"({counted})"),
        "backlog_max": sql(f"max(n) AS value FROM ({counted})"),
    }[expected["metric"]]


METRICS = {
    "contact_time_union": contact_time_union,
    "max_concurrency": max_concurrency,
    "peak_concurrent": peak_concurrent,
    "peak_at": peak_at,
    "utilization_cisco": utilization_cisco,
    "sum_of_handle_over_available": handle_over_available,
    "available_slots": available_slots,
    **dict.fromkeys(NOW, agents_who),
    **dict.fromkeys(("backlog_last", "backlog_mean", "backlog_max"), stock),
}
