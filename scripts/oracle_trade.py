"""Worked examples of what contacts sell, cost and keep: orders credited to contacts, cost shared among
them, customers who stay."""
from callgauge_cli import micros
from oracle_agents import clocks, status, work
from oracle_ask import plain, ratio, sql
from oracle_worlds import BASE, DAY, MINUTE, World, cost, order, us


# ---- what happened --------------------------------------------------------------------------


def sold(case):
    """Contacts of customers, and orders that do not name the contact that brought them."""
    world = World()
    for row in case["inputs"]["contacts"]:
        at = BASE + row["day"] * DAY
        name = world.start(at, f"contact-{row['contact']}", customer=row["customer"],
                           purpose="sales" if row["sale_contact"] else "service")
        end, _ = world.visit(at, name)
        world.end(end, name)
    for row in case["inputs"]["orders"]:
        order(world, BASE + row["day"] * DAY, name=row["order"], customer=row["customer"])
    world.watermark()
    return world


def pool_contacts(case):
    """One pool of cost over contacts, some of them at a time."""
    world = World()
    chats = {row["contact"]: row for row in case["inputs"]["chat_sessions"]}
    for row in case["inputs"]["contacts"]:
        alone = {"agent": "other", "start_min": 0, "end_min": row["handle_min"]}
        own = chats.get(row["contact"], alone)
        work(world, own["agent"], BASE + own["start_min"] * MINUTE, BASE + own["end_min"] * MINUTE,
             f"leg-{row['contact']}", row["channel"])
    cost(world, case["inputs"]["pool"][0]["amount"], "service")
    world.watermark()
    return world


AGENTS = 100


def minutes_that_cost(case):
    """A day of many agents: contacts one after the other, then other productive work."""
    world, row = World(), case["inputs"]["totals"][0]
    talk = us(60 * row["handle_min"] / row["handled"])
    for n in range(AGENTS):
        agent, at = f"agent{n}", BASE
        status(world, agent, at, "available")
        for _ in range(n, row["handled"], AGENTS):
            work(world, agent, at, at + talk, channel="voice")
            at += talk
        status(world, agent, at, "admin", productive=True)
        end = at + us(60 * row["other_business_min"] / AGENTS)
        status(world, agent, end, "offline")
        clocks(world, agent, BASE, end)
    cost(world, row["cost"], "service")
    world.watermark()
    return world


def portions(total, parts):
    """A whole sum in whole parts."""
    return [total // parts] * (parts - 1) + [total - total // parts * (parts - 1)]


def customers(case):
    """Customers at the start of a month, of whom some leave and one pays more; and new ones."""
    world, row = World(), case["inputs"]["totals"][0]
    gone = row["start"] + row["new"] - row["end"]

    def tell(name, at, status_now, value):
        world.add(at, "customer.changed", customer_id=name, effective_from=at, status=status_now,
                  recurring_value={"amount": str(value), "currency": "EUR"})
    values = portions(row["churned_revenue"], gone) + portions(
        row["start_revenue"] - row["churned_revenue"], row["start"] - gone)
    for n, amount in enumerate(values):
        tell(f"old{n}", BASE - 30 * DAY, "active", amount)
        if n < gone:
            tell(f"old{n}", BASE + 10 * DAY, "ended", 0)
    tell(f"old{gone}", BASE + 15 * DAY, "active", values[gone] + row["expansion"])
    for n in range(row["new"]):
        tell(f"new{n}", BASE + 10 * DAY, "active", 20)
    world.watermark()
    return world


# ---- what is asked --------------------------------------------------------------------------


def credits(case):
    """Each order with the last handled sales contact of its customer within the window, if any."""
    window = case["params"]["window_days"] * 86_400_000
    gap = "ms_between(i.started_at, o.placed_at)"
    within = f"{gap} >= 0 AND {gap} {'<=' if case['params']['window_inclusive'] else '<'} {window}"
    place = "row_number() OVER (PARTITION BY o.order_id ORDER BY i.started_at DESC)"
    return (f"(SELECT order_id, interaction_id FROM (SELECT o.order_id, i.interaction_id, {place} AS n "
            f"FROM facts.orders o LEFT JOIN facts.interactions i ON o.customer_id = i.customer_id "
            f"AND i.purpose = 'sales' AND i.handled AND {within}) WHERE n = 1)")


def credited_orders(case, expected):
    contact = f"contact-{expected['group']['contact']}"
    return sql(f"count(*) AS value FROM {credits(case)} WHERE interaction_id = '{contact}'")


def orders_without_contact(case, expected):
    return sql(f"count(*) AS value FROM {credits(case)} WHERE interaction_id IS NULL")


def credited_close_rate(case, expected):
    contacts = "(SELECT count(*) FROM facts.interactions WHERE purpose = 'sales' AND handled)"
    return ratio("count(interaction_id)", contacts, credits(case))


SHARED_BY = {"per contact": "1", "by handle time": "handle_ms", "by time share": "share_ms"}


def shared_cost(case, expected):
    """The posted cost, shared among contacts by what a variant says."""
    group, by = expected["group"], SHARED_BY[expected["variant"]]
    one = f"leg_id = 'leg-{group['contact']}'" if "contact" in group else (
        f"channel = '{group['channel']}'")
    amount = "(SELECT CAST(sum(amount) AS DOUBLE) FROM facts.costs)"
    return sql(f"{amount} * sum({by}) FILTER (WHERE {one}) / sum({by}) AS value "
               "FROM facts.leg_shares")


MARCH = (micros("2025-03-01T00:00:00Z"), micros("2025-04-01T00:00:00Z"))


METRICS = {
    "credited_orders": credited_orders,
    "orders_without_contact": orders_without_contact,
    "cost": shared_cost,
    "retention_rate": plain("retention_rate", span=MARCH),
    "net_revenue_retention": plain("net_revenue_retention", span=MARCH),
}
