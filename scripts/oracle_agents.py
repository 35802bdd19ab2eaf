"""Worked examples of agents' time, evaluations, self-service and cases as events, and what is asked
about them."""
from callgauge_cli import micros, rfc3339
from oracle_worlds import BASE, DAY, SECOND, Unsupported, World, us

MINUTE = 60 * SECOND


def clocks(world, agent, begin, end):
    """A login that lasts from `begin` to `end`."""
    session = world.name("session")
    world.add(begin, "agent.session_started", session_id=session, agent_id=agent)
    world.add(end, "agent.session_ended", session_id=session, agent_id=agent)


def status(world, agent, at, state):
    world.add(at, "agent.state_changed", agent_id=agent, state=state,
              routable=state == "available")


def work(world, agent, begin, end, leg=None, channel="chat"):
    """A contact that the agent works on from `begin` to `end`."""
    interaction, leg = world.start(begin, channel=channel), leg or world.name("leg")
    world.connect(begin, leg, interaction, agent, initiation="direct")
    world.add(end, "leg.disconnected", leg_id=leg)
    world.end(end, interaction)


def moment(row, name):
    """A time of a row: in minutes after the base, or a clock time."""
    if f"{name}_min" in row:
        return BASE + row[f"{name}_min"] * MINUTE
    return micros(row[name] + "Z")


def sessions(case):
    """Sessions of agents, several at a time."""
    world = World()
    if "capacity" in case["params"]:
        world.add(BASE - 3600 * SECOND, "agent.capacity_changed", agent_id="A",
                  slots={"chat": case["params"]["capacity"]})
    for row in case["inputs"].get("agent_intervals", []):
        clocks(world, row["agent"], moment(row, "start"), moment(row, "end"))
    for row in case["inputs"]["sessions"]:
        work(world, row["agent"], moment(row, "start"), moment(row, "end"),
             f"session-{row['session']}")
    world.watermark()
    return world


STATES = {"idle": "available", "ringing": "available", "on_contact": "available",
          "acw": "available", "break": "break", "training": "training"}


def agent_states(case):
    """States one after the other; a ring, its call and what comes after it are one leg."""
    world, at, leg = World(), BASE, None
    rows = case["inputs"]["agent_states"]
    agent = rows[0]["agent"]
    clocks(world, agent, BASE, BASE + us(sum(row["seconds"] for row in rows)))
    for row in rows:
        end = at + us(row["seconds"])
        status(world, agent, at, STATES[row["state"]])
        if row["state"] == "ringing":
            interaction, visit = world.start(at), world.name("visit")
            world.add(at, "queue.entered", visit_id=visit, interaction_id=interaction,
                      queue_id="q", visit_kind="customer")
            offer = {"offer_id": visit + ".o", "visit_id": visit, "agent_id": agent}
            world.add(at, "offer.started", **offer)
            world.add(end, "offer.ended", outcome="accepted", **offer)
            leg = world.name("leg")
            world.add(end, "queue.left", visit_id=visit, reason="answered", leg_id=leg)
            world.connect(end, leg, interaction, agent, visit=visit)
        elif row["state"] == "on_contact":
            world.add(end, "leg.disconnected", leg_id=leg)
        elif row["state"] == "acw":
            world.add(at, "acw.started", leg_id=leg)
            world.add(end, "acw.ended", leg_id=leg)
        at = end
    world.watermark()
    return world


def agent_timeline(case):
    """A status and, apart from it, whether the agent is on a contact."""
    world, rows = World(), case["inputs"]["agent_timeline"]
    times = [[micros(f"2025-03-03T{row[k]}Z") for k in ("start", "end")] for row in rows]
    clocks(world, rows[0]["agent"], times[0][0], times[-1][1])
    busy = []
    for row, (begin, end) in zip(rows, times):
        status(world, row["agent"], begin, row["status"].lower())
        if row["contact"] and busy and busy[-1][1] == begin:
            busy[-1][1] = end
        elif row["contact"]:
            busy.append([begin, end])
    for begin, end in busy:
        work(world, rows[0]["agent"], begin, end, channel="voice")
    world.watermark()
    return world


def evaluations(case, fatal=()):
    """Forms with items that passed, failed or did not apply; failing one of `fatal` fails all."""
    world, forms = World(), {}
    for row in case["inputs"]["evaluation_items"]:
        forms.setdefault(row["evaluation"], []).append(row)
    for number, rows in forms.items():
        _, end, leg = world.contact(BASE)
        items = [{
            "item_id": row["item"],
            "critical": "none" if row["critical_class"] == "none" else "business",
            "applicable": row["result"] != "na", "error": row["result"] == "fail",
            "points": int(row["result"] == "pass"), "max_points": 1, "weight": row["weight"],
            "auto_fail": row["critical_class"] in fatal,
        } for row in rows]
        world.add(end, "evaluation.completed", evaluation_id=f"form-{number}", leg_id=leg,
                  form_id="f", form_version=1, evaluator_id="e", items=items)
    world.watermark()
    return world


def evaluated(row):
    """As many evaluations as a row says, some of them with a critical error."""
    items = [{"evaluation": n, "item": "i", "critical_class": "critical", "weight": 1,
              "result": "fail" if n < row["with_critical_error"] else "pass"}
             for n in range(row["evaluated"])]
    return evaluations({"inputs": {"evaluation_items": items}})


def evaluation_versions(case, as_of):
    """Evaluations as they were known at a moment."""
    world, legs = World(), {}
    rows = [row for row in case["inputs"]["evaluation_versions"] if micros(row["time"]) <= as_of]
    latest = {row["evaluation"]: row for row in sorted(rows, key=lambda r: r["version"])}
    for number, row in latest.items():
        _, _, legs[number] = world.contact(BASE)
        item = {"item_id": "i", "critical": "customer", "applicable": True,
                "error": row["critical_error"], "points": 0, "max_points": 1, "weight": 1,
                "auto_fail": False}
        world.add(micros(row["time"]), "evaluation.completed", evaluation_id=f"form-{number}",
                  leg_id=legs[number], form_id="f", form_version=1, evaluator_id="e",
                  items=[item])
    world.watermark()
    return world


def announcements(case):
    """Estimated waits that were announced, and how long it took."""
    world = World()
    for row in case["inputs"]["announcements"]:
        interaction, visit = world.start(BASE), world.name("visit")
        world.add(BASE, "queue.entered", visit_id=visit, interaction_id=interaction,
                  queue_id="q", visit_kind="customer")
        world.add(BASE, "estimate.announced", visit_id=visit, ewt_ms=1000 * row["announced_s"],
                  method="told")
        waited = row["waited_s"]
        left = BASE + us(20 if waited is None else waited)
        reason = "abandoned" if waited is None else "answered"
        world.add(left, "queue.left", visit_id=visit, reason=reason)
        world.end(left, interaction)
    world.watermark()
    return world


def self_service_sessions(case):
    """Sessions of customers with a machine, and their contacts that an agent handled."""
    world, hour = World(), 3600 * SECOND
    for row in case["inputs"]["selfservice_sessions"]:
        at, name = BASE + row["t_h"] * hour, f"session-{row['session']}"
        outcome = {"hangup": "abandoned"}.get(row["outcome"], row["outcome"])
        world.add(at, "selfservice.started", session_id=name, customer_id=row["customer"],
                  kind="bot")
        world.add(at + 60 * SECOND, "selfservice.ended", session_id=name, outcome=outcome)
    for row in case["inputs"]["assisted_contacts"]:
        world.contact(BASE + row["t_h"] * hour, customer=row["customer"])
    world.watermark(horizon=BASE + case["params"]["horizon_h"] * hour)
    return world


def cases(case):
    """Cases with the days on which they were opened and closed."""
    world = World()
    for row in case["inputs"]["cases"]:
        at, name = BASE + row["opened"] * DAY, row["case"]
        world.add(at, "case.opened", case_id=name, promise_at=at + row["promise_days"] * DAY)
        if row["closed"] is not None:
            world.add(BASE + row["closed"] * DAY, "case.closed", case_id=name)
    world.watermark(horizon=BASE + case["params"]["horizon_day"] * DAY)
    return world


def stages(case):
    """Worlds of cases that need several, each with the figures asked of it; or None."""
    expected = case["expected"]
    if "evaluation_items" in case["inputs"]:
        rules = {"critical failure sets 0": ("critical",), "fatal rule": ("fatal",)}
        names = sorted({e.get("variant", "plain") for e in expected})
        return [(name.replace(" ", "-"), evaluations(case, rules.get(name, ())),
                 [e for e in expected if e.get("variant", "plain") == name]) for name in names]
    if "evaluation_versions" in case["inputs"]:
        moments = sorted({e["group"]["as_of"] for e in expected})
        return [(at.replace(":", ""), evaluation_versions(case, micros(at)),
                 [e for e in expected if e["group"]["as_of"] == at]) for at in moments]
    return None


# ---- what is asked --------------------------------------------------------------------------


def slice_sum(column):
    """SQL of a sum over agents' time, of one quarter of an hour if the figure names one."""
    def text(case, expected):
        group, where = expected.get("group", {}), ""
        if "queue" in group:
            raise Unsupported("agents' time does not add up over queues: it is not cut by them")
        if "interval" in group:
            at = rfc3339(micros(f"2025-03-03T{group['interval']}:00Z"))
            where = f" WHERE slice_at = TIMESTAMP '{at}'"
        return f"sum({column}) AS value FROM facts.agent_slices{where}"
    return text


def time_in_status(case, expected):
    state = expected["group"]["status"].lower()
    return (f"sum(to_ms - from_ms) AS value FROM facts.agent_time "
            f"WHERE timeline = 'status' AND state = '{state}'")


def at_concurrency(case, expected):
    return f"sum(conc_{expected['group']['k']}_ms) AS value FROM facts.agent_slices"


def time_share(case, expected):
    return ("share_ms AS value FROM facts.leg_shares "
            f"WHERE leg_id = 'session-{expected['group']['session']}'")


OCCUPANCY = {"ringing left out": "occupancy", "ringing is work": "occupancy_with_ring"}
UTILIZATION = {"handling / logged in": "utilization_logged_in"}


def occupancy(expected):
    variant = expected.get("variant", "ringing left out")
    if variant not in OCCUPANCY:
        raise Unsupported("a ring is work or left out, not idle")
    return OCCUPANCY[variant]


def utilization(expected):
    if expected["variant"] not in UTILIZATION:
        raise Unsupported("paid time outside of a login is not told by events")
    return UTILIZATION[expected["variant"]]


def qa_score(case, expected):
    form = f"form-{expected['group']['evaluation']}"
    return f"score_bp / 10000.0 AS value FROM facts.evaluations WHERE evaluation_id = '{form}'"
