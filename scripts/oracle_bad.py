"""Published figures that are wrong: the product gives the right one, and not the published one."""
import dataclasses

import oracle_staffing as staffing


@dataclasses.dataclass(frozen=True)
class Claim:
    """A figure that a source printed wrongly, asked of a worked example or of inputs of its own.

    `published` and `right` stand in the list as they stand here; `wrong` and `value` are what they
    mean, where they are not plain numbers. Agreement is to half of the last printed digit.
    """
    metric: str
    unit: str
    right: str
    published: str = ""
    case: str = ""
    inputs: tuple = ()
    group: tuple = ()
    variant: str = ""
    value: float = None
    wrong: float = None

    def figures(self):
        """What is asked, with the right and, if one is printed, with the wrong value."""
        figure = {"metric": self.metric, "unit": self.unit}
        figure.update({"group": dict(self.group)} if self.group else {})
        figure.update({"variant": self.variant} if self.variant else {})
        values = [float(self.right) if self.value is None else self.value]
        if self.published:
            values.append(float(self.published) if self.wrong is None else self.wrong)
        digits = len(self.right.partition(".")[2]) if self.value is None else 0
        return [{**figure, "value": value, "tol": 0.5 * 10.0 ** -digits} for value in values]


def erlang(calls, **more):
    """Agents for 80 % in 20 s, or what some agents reach, with calls of 300 s in an hour."""
    row = {"calls": calls, "interval_s": 3600, "aht_s": 300, "threshold_s": 20, "target": 0.8}
    return Claim(inputs=(("model", (tuple(row.items()),)),), **more)


def reached(calls, agents, right):
    return erlang(calls, metric="service_level", unit="percent", right=right,
                  group=(("agents", agents),))


def chats():
    """Thirty chats of eight minutes, two at a time, in two hours."""
    for n in range(30):
        start = n // 2 * 8
        yield tuple({"agent": "A", "session": n, "start_min": start, "end_min": start + 8}.items())


CHATS = (("sessions", tuple(chats())),)

# The stamps of the sample as it is printed: it ended before it was queued.
STAMPS = (("stamps", (tuple({
    "initiated": "2021-08-04T17:17:53", "enqueued": "2021-08-04T17:29:04",
    "connected": "2021-08-04T17:29:09", "disconnected": "2021-08-04T17:18:37",
}.items()),)),)

CLAIMS = {
    "BAD-01": [
        erlang(1000, metric="agents_required", unit="count", right="91", published="96"),
        erlang(900, metric="agents_required", unit="count", right="83", published="87"),
        reached(1000, 91, "81.44"), reached(1000, 96, "94.86"),
        reached(900, 83, "84.1"), reached(900, 82, "79.55"),
    ],
    "BAD-02": [
        Claim("service_level", "percent", "66.39", "66.46", "WGT-03", variant="SL2",
              group=(("part", 1),)),
        Claim("service_level", "percent", "50.0", "49.4", "WGT-03", variant="SL2",
              group=(("part", 2),)),
        Claim("service_level", "percent", "65.35", "57.93", "WGT-03", variant="SL2"),
    ],
    "BAD-03": [
        Claim("first_response_time", "seconds", "10 min", "5 d 1 h 10 min", "ASA-05", value=600.0,
              wrong=5 * 86400 + 3600 + 600.0),
    ],
    "BAD-05": [
        Claim("aht_effective", "minutes", "4 minutes effective", "2 minutes effective",
              inputs=CHATS, value=4.0, wrong=2.0),
        Claim("aht_session", "minutes", "8 minutes per session", inputs=CHATS, value=8.0),
    ],
    "BAD-06": [
        Claim("contacts_per_order", "ratio", "contacts / orders", "orders / contacts", "ORD-02",
              value=4.0, wrong=0.25),
    ],
    # Tolerance is half a percent point: 2 of 99 are 2.02 %, and not 4950 %.
    "BAD-07": [
        Claim("turnover", "percent", "leavers / average headcount", "average headcount / leavers",
              "ERL-24", variant="leavers / average headcount", value=200 / 99, wrong=4950.0),
    ],
    "BAD-08": [Claim("queue_visits", "count", "39", "38", "AB-01")],
    # The misprint counts all 82 answered calls and the 10 that gave up in time, of 100.
    "BAD-09": [
        Claim("service_level", "percent", "calls answered in time", "all answered calls", "SL-05",
              variant="SL2", value=70.0, wrong=92.0),
        Claim("service_level", "percent", "+ calls abandoned in time", "all answered calls", "SL-05",
              variant="SL5", value=80.0, wrong=92.0),
    ],
    "BAD-10": [
        Claim("service_level", "percent", "83.6", "81.5", "WGT-01", variant="SL2"),
        Claim("aht", "seconds", "251.7", "337.25", "WGT-02"),
    ],
    "BAD-15": [
        Claim("contradictions", "count", "reject or flag it",
              "disconnected 17:18:37, enqueued 17:29:04", inputs=STAMPS, value=1.0, wrong=0.0),
    ],
    "BAD-16": [
        Claim("avg_concurrency", "ratio", "1.389", "1.38", "OCC-02"),
        Claim("avg_concurrency", "ratio", "1.175", "1.17", "OCC-03"),
    ],
}
NOT_ASKED = {
    "BAD-04": staffing.OTHER_METHODS["aht x position / agents x (1 - abandon share)"],
    "BAD-11": "a figure of a data set, and scripts/public_data shows that it is wrong",
    "BAD-12": "a figure of a data set of days, which no importer reads: contacts come one by one",
    "BAD-13": "a figure of a data set that scripts/public_data does not ask: a table of cases",
    "BAD-14": "a figure of a data set of reservations, which are no contacts",
    "BAD-17": "a sample of Twilio TaskRouter, of which there is no importer",
}


def plain(rows):
    return [dict(row) for row in rows]


def run(entry, cases, ask):
    """[(figure, status, reason)] of one wrong figure. `ask` answers a case as the runner does."""
    name = entry["id"]
    if name not in CLAIMS:
        reason = NOT_ASKED.get(name, "the runner does not know this entry")
        return [({"metric": entry["subject"]}, "unsupported", reason)]
    results = []
    for number, claim in enumerate(CLAIMS[name]):
        figures = claim.figures()
        if claim.published not in entry["published"] or claim.right not in entry["right"]:
            results.append((figures[0], "failed", "the list says another thing than the runner"))
            continue
        inputs = {table: plain(rows) for table, rows in claim.inputs}
        case = cases[claim.case] if claim.case else {
            "inputs": inputs, "clock": "none", "params": {"model": "erlang_c"}}
        answers = ask({**case, "id": f"{name}-{number}", "expected": figures})
        results.append(verdict(claim, figures, [answer[1:] for answer in answers]))
    return results


def verdict(claim, figures, answers):
    """The right value must be what the product says, and the published one must differ."""
    status, reason = answers[0]
    if status == "passed" and claim.published and answers[1][0] == "passed":
        return figures[0], "failed", f"agrees with {claim.published}, which is wrong"
    return figures[0], status, reason
