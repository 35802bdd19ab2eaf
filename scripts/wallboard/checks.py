"""What the wallboard must do, as seen through Chromium."""
import datetime
import json
import re
import statistics
import time
import urllib.request
import zoneinfo

from centre import Centre
from serving import Server, token_line
from words import WORDS

BOARDS = ("now", "queues", "agents", "intervals")
THEMES = ("dark", "light")
SIZES = {"desk": (1440, 900), "wall": (1920, 1080), "far": (1920, 1080)}
PATIENCE_MS = 15_000
SUPERVISOR = "supervisor-0123456789abcdef0123456789"
# Drawn: tiles or rows, of the board that was asked for.
DRAWN = "main[data-board='{board}'] :is(.tile .figure, .rows tbody th)"
# Who looks for a colleague is no contact (docs/live.md).
WAITING = "FROM facts.queue_visits WHERE waiting AND NOT is_test AND visit_kind <> 'internal'"
KPIS = {"service_level": "percent", "abandon_rate": "percent", "asa": "clock", "aht": "clock",
        "offered": "count"}


class Stage:
    """A centre whose clock stands still, so that all who ask are told of the same moment."""

    def __init__(self, binary, folder, browser, out):
        self.binary, self.folder, self.browser, self.out = binary, folder, browser, out
        self.problems = []

    def __enter__(self):
        self.centre = Centre(self.binary, self.folder / "still", "--speed", "0", "--at", "11:40")
        return self

    def __exit__(self, *_):
        self.centre.kill()

    def page(self, board="now", lang="en", theme="dark", size="desk", centre=None, context=None):
        """A page that shows a board; what its console says is a problem."""
        width, height = SIZES[size]
        window = {"viewport": {"width": width, "height": height}}
        page = context.new_page() if context else self.browser.new_page(**window)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: said.type in ("error", "warning")
                and self.problems.append(f"console {said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.goto((centre or self.centre).url + "/wallboard" + place(board, lang, theme, size))
        wait_drawn(page, board)
        return page

    def no_problem(self):
        problems, self.problems = self.problems, []
        assert not problems, "\n".join(problems)

    def snapshot(self, board, centre=None):
        """All cells of a board, by key, and the head of the frame."""
        frame = (centre or self.centre).get("/api/v1/live/snapshot", board=board)
        return {cell["k"]: cell for cell in frame.pop("cells")}, frame


def place(board, lang, theme, size):
    return f"#board={board}&lang={lang}&theme={theme}&size={size}&rotate=0"


def wait_drawn(page, board):
    page.wait_for_selector(DRAWN.format(board=board))


def percent(value):
    return f"{value * 100:.1f}%"


def clock(ms):
    seconds = int(ms / 1000 + 0.5)
    minutes, rest = seconds // 60, seconds % 60
    hours = minutes // 60
    return f"{hours}:{minutes % 60:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shown(value, kind):
    """A value as the page writes it, by rules of our own."""
    if value is None:
        return "—"
    return {"percent": percent, "clock": clock, "count": lambda n: f"{n:,.0f}"}[kind](value)


def text(page, selector):
    return page.locator(selector).first.inner_text().strip()


def without_shape(value):
    return re.sub(r"^[●▲■◇]\s*", "", value)


def check_every_page_in_every_dress(stage):
    """Each board, in three languages, two themes and three sizes: drawn, inside the window, without a word on the console."""
    for lang in WORDS:
        page = stage.page(lang=lang)
        for theme in THEMES:
            for size, (width, height) in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                for board in BOARDS:
                    page.evaluate("to => { location.hash = to }", place(board, lang, theme, size))
                    wait_drawn(page, board)
                    page.wait_for_function(
                        "([lang, theme, size]) => { const d = document.documentElement;"
                        " return d.lang === lang && d.dataset.theme === theme && d.dataset.size === size }",
                        arg=[lang, theme, size])
                    dress = f"{board}-{lang}-{theme}-{size}"
                    tab = text(page, ".tabs [aria-current]")
                    assert tab == WORDS[lang][board], f"{dress}: {tab}"
                    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                    assert wide[0] <= wide[1], f"{dress}: {wide[0]} wide in {wide[1]}"
                    looks_whole(page, dress, size)
                    page.screenshot(path=stage.out / f"{dress}.png")
        page.close()
    stage.no_problem()


def looks_whole(page, dress, size):
    """No figure is cut off; on a wall none is small (W21) and nothing has to be moved by hand."""
    cut = page.eval_on_selector_all(
        ".tile .figure, .rows td .value",
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
        ".map(e => e.textContent)")
    assert not cut, f"{dress}: cut off: {cut}"
    if size != "desk":
        small = page.eval_on_selector_all(
            ".tile .figure", "all => Math.min(999, ...all.map(e => parseFloat(getComputedStyle(e).fontSize)))")
        assert small >= 96, f"{dress}: a figure of {small} px"
        # The first drawing finds out how much room a row takes.
        page.wait_for_function("() => [...document.querySelectorAll('.sheet > .scroll, .tiles')]"
                               ".every(e => e.scrollHeight <= e.clientHeight + 1"
                               " && e.scrollWidth <= e.clientWidth + 1)")


def check_contrast(stage):
    """Every text stands out 4.5:1 from what is behind it, large ones 3:1 (W23)."""
    for theme in THEMES:
        for board in BOARDS:
            page = stage.page(board, theme=theme)
            for what, ratio, large in page.evaluate(CONTRAST):
                assert ratio >= (3 if large else 4.5), f"{theme} {board}: '{what}' {ratio:.2f}:1"
            page.close()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255);
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
  const light = (c) => c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    if (!e) return [1, 1, 1];
    const colour = rgba(getComputedStyle(e).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(e.parentElement));
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Map();
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !e.checkVisibility({ opacityProperty: true }) || e.closest('svg')) continue;
    let alpha = 1;
    for (let up = e; up; up = up.parentElement) alpha *= Number(getComputedStyle(up).opacity);
    const style = getComputedStyle(e);
    const under = behind(e);
    const colour = rgba(style.color);
    colour[3] *= alpha;
    const [a, b] = [light(over(colour, under)), light(under)].sort((x, y) => y - x);
    const px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    found.set(`${e.className} ${style.color} ${large}`, [words.slice(0, 30), (a + 0.05) / (b + 0.05), large]);
  }
  return [...found.values()];
}"""


def check_figures_are_those_of_http_and_sql(stage):
    """The figures on the pages equal GET /api/v1/kpi and SQL at the same moment."""
    centre = stage.centre
    cells, head = stage.snapshot("queues")
    day = {end: rfc3339(head["day"][end]) for end in ("start", "end")}
    answer = centre.get("/api/v1/kpi", metric=",".join(KPIS), by="queue_id", **{
        "from": day["start"], "to": day["end"], "zone": head["zone"]})
    told = {(series["metric"], series["dims"]["queue_id"]): series["points"][0]
            for series in answer["series"]}
    page = stage.page("queues")
    compared = 0
    for queue in {queue for _, queue in told if queue}:
        for metric, kind in KPIS.items():
            point = told.get((metric, queue))
            cell = f".rows tr[data-id='{queue}'] td[data-figure='{metric}@today']"
            if point is None or page.locator(cell).count() == 0:
                continue
            on_page = without_shape(text(page, f"{cell} .value"))
            assert on_page == shown(point["value"], kind), f"{queue} {metric}: {on_page} {point}"
            if kind == "percent" and point["value"] is not None:
                of = f"{point['num']:,.0f}/{point['den']:,.0f}"
                assert text(page, f"{cell} .basis") == of, f"{queue} {metric}: not {of}"
            compared += 1
        waiting = centre.sql(f"SELECT count(*) {WAITING} AND queue_id = '{queue}'")[0][0]
        on_page = text(page, f".rows tr[data-id='{queue}'] td[data-figure='waiting'] .value")
        assert on_page == str(waiting), f"{queue} waiting: {on_page}, not {waiting}"
    assert compared >= 15, f"only {compared} figures compared"
    page.close()
    totals(stage, day, head)
    stage.no_problem()


def totals(stage, day, head):
    """The whole centre on the first board, against SQL."""
    centre = stage.centre
    page = stage.page("now")
    waiting = centre.sql(f"SELECT count(*) {WAITING}")
    assert text(page, "[data-figure='waiting'] .figure") == str(waiting[0][0])
    offered = centre.sql(f"SELECT MEASURE(offered) FROM kpi.queue_visits WHERE entered_at >= '{day['start']}'"
                         f" AND entered_at < '{day['end']}'")
    on_page = text(page, "[data-figure='offered@today'] .figure")
    assert on_page == shown(float(offered[0][0]), "count"), f"{on_page} {offered}"
    # Whole minutes, the running one included (docs/live.md).
    until = head["as_of"] // 60_000 * 60_000 + 60_000
    level = centre.get("/api/v1/kpi", metric="service_level", **{
        "from": rfc3339(until - 1_800_000), "to": rfc3339(until)})
    point = level["series"][0]["points"][0]
    on_page = text(page, "[data-figure='service_level@30m'] .figure")
    assert on_page == shown(point["value"], "percent"), f"{on_page} {point}"
    oldest = centre.sql(f"SELECT min(entered_at) {WAITING}")[0][0]
    expected = "—"
    if oldest is not None:
        entered = datetime.datetime.fromisoformat(oldest.replace("Z", "+00:00")).timestamp() * 1000
        expected = clock((head["as_of"] - entered) // 1000 * 1000)
    assert text(page, "[data-figure='oldest'] .figure") == expected
    page.close()


def rfc3339(ms):
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def check_what_is_behind_a_figure(stage):
    """A tile leads to its definition, its SQL (which gives its value), the contacts and four other weeks."""
    page = stage.page("now")
    figure = text(page, "[data-figure='service_level@30m'] .figure")
    page.click("[data-figure='service_level@30m']")
    page.wait_for_selector(".detail[open] .weeks li:nth-child(5)")
    page.wait_for_selector(".detail .contacts tbody tr")
    assert text(page, ".detail .now b") == figure
    terms = page.locator(".detail dt").all_inner_texts()
    for term in ("Formula", "Numerator", "Denominator", "Clock", "Zone"):
        assert term in terms, terms
    sql = page.locator(".detail .sql").inner_text()
    assert shown(float(stage.centre.sql(sql)[0][0]), "percent") == figure, sql
    head = page.locator(".detail .contacts thead th").all_inner_texts()
    assert "customer_id" not in head and head[0] == "interaction_id", head
    page.screenshot(path=stage.out / "detail-en-dark.png")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail:not([open])", state="attached")
    page.click("[data-figure='waiting']")
    page.wait_for_selector(".detail[open] [data-part='rows'] :is(.contacts, .quiet)")
    page.close()
    stage.no_problem()


def check_keyboard(stage):
    """Everything can be reached without a mouse: boards, pages, language, theme, size, details."""
    page = stage.page("now")
    for number, board in enumerate(BOARDS, 1):
        page.keyboard.press(str(number))
        wait_drawn(page, board)
    page.keyboard.press("ArrowRight")
    wait_drawn(page, "now")
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, "intervals")
    page.keyboard.press("1")
    wait_drawn(page, "now")
    before = page.evaluate("({...document.documentElement.dataset, lang: document.documentElement.lang})")
    for key, name in (("l", "lang"), ("t", "theme"), ("s", "size")):
        page.keyboard.press(key)
        page.wait_for_function(
            "([name, before]) => { const d = document.documentElement;"
            " return (name === 'lang' ? d.lang : d.dataset[name]) !== before }", arg=[name, before[name]])
    wait_drawn(page, "now")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('tile')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline not in ("none", ""), "the focus cannot be seen"
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail:not([open])", state="attached")
    page.close()
    stage.no_problem()


HOSTILE = [
    "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "a.b.waiting", "'\"`${7*7}`",
    "\u202egnp.exe", "very long " * 12, "排队等待的很长的名字" * 8, "e" + "\u0301" * 200,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "%s%n{n}", "x' OR 1=1 --", "constructor", "__proto__",
]


def check_hostile_names(stage):
    """Queues that are named to do harm are texts, cut to what a reader can take in."""
    centre = stage.centre
    _, head = stage.snapshot("queues")
    at = rfc3339(head["as_of"])
    events = []
    for number, queue in enumerate(HOSTILE):
        contact = f"hostile{number}"
        events += [
            event(f"{contact}-1", "interaction.started", at, interaction_id=contact, channel="voice",
                  direction="inbound"),
            event(f"{contact}-2", "queue.entered", at, visit_id=f"{contact}.q1", interaction_id=contact,
                  queue_id=queue, visit_kind="customer"),
        ]
    centre.send(events)
    page = stage.page("queues")
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for queue in HOSTILE:
        page.wait_for_function("id => [...document.querySelectorAll('.rows tr')].some(r => r.dataset.id === id)",
                               arg=queue)
    labels = page.locator(".rows tbody th .label").all_inner_texts()
    assert HOSTILE[0] in labels, labels
    lengths = page.eval_on_selector_all(
        ".rows tbody th .label",
        "all => all.map(e => [...new Intl.Segmenter().segment(e.textContent)].length)")
    assert max(lengths) <= 41, lengths
    assert page.locator(".rows img, .rows script").count() == 0 and not dialogs
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], wide
    page.screenshot(path=stage.out / "hostile-names.png")
    # By id, with a quote in it, into SQL and into a filter.
    page.evaluate("id => [...document.querySelectorAll('.rows tr')].find(r => r.dataset.id === id)"
                  ".querySelector(\"[data-figure='service_level@today'] button\").click()", "x' OR 1=1 --")
    page.wait_for_selector(".detail[open] .weeks")
    sql = page.locator(".detail .sql").inner_text()
    assert len(stage.centre.sql(sql)) == 1, sql
    page.close()
    stage.no_problem()


def event(event_id, kind, at, **data):
    return {"source": "check", "event_id": event_id, "event_type": kind, "occurred_at": at, "data": data}


def check_freshness(stage):
    """Every acknowledged event changes the figure; how soon is printed (the goals, W31, are those of a release)."""
    _, head = stage.snapshot("now")
    page = stage.page("now")
    took = []
    for number in range(20):
        contact = f"fresh{number}"
        at = rfc3339(head["as_of"])
        events = [
            event(f"{contact}-1", "interaction.started", at, interaction_id=contact, channel="voice",
                  direction="inbound"),
            event(f"{contact}-2", "queue.entered", at, visit_id=f"{contact}.q1", interaction_id=contact,
                  queue_id="support", visit_kind="customer"),
        ]
        took.append(page.evaluate(FRESH, "\n".join(json.dumps(e) for e in events)))
        assert took[-1] is not None, f"event {number} was never seen"
    print(f"        acknowledged to seen: p50 {statistics.median(took):.0f} ms, longest {max(took):.0f} ms")
    page.close()
    stage.no_problem()


FRESH = """async (body) => {
  const figure = document.querySelector("[data-figure='waiting'] .figure");
  const seen = new Promise((resolve) => {
    setTimeout(resolve, 60_000, null);
    const watching = new MutationObserver(() => requestAnimationFrame(() => {
      watching.disconnect();
      resolve(performance.now());
    }));
    watching.observe(figure, { childList: true, characterData: true, subtree: true });
  });
  await fetch('/api/v1/events', { method: 'POST', body, headers: { 'Content-Type': 'application/x-ndjson' } });
  const acknowledged = performance.now();
  const changed = await seen;
  return changed === null ? null : Math.max(0, changed - acknowledged);
}"""


def check_one_stream_for_all_pages(stage):
    """Pages of one browser share their stream; closing them ends it."""
    before = streams(stage)
    context = stage.browser.new_context()
    pages = [stage.page("now", context=context) for _ in range(3)]
    assert streams(stage) == before + 1, streams(stage)
    for page in pages:
        page.close()
    context.close()
    until = time.monotonic() + 10
    while streams(stage) > before:
        assert time.monotonic() < until, "the stream goes on without pages"
    stage.no_problem()


def streams(stage):
    """Streams that the server says it has."""
    with urllib.request.urlopen(f"{stage.centre.url}/metrics", timeout=60) as answer:
        metrics = answer.read().decode()
    found = re.findall(r"^callgauge_sse_clients(?:\{[^}]*\})? (\d+)", metrics, re.M)
    assert found, "no metric of streams"
    return sum(map(int, found))


def check_who_may_look(stage):
    """With tokens the page asks for one; a screen is let in by a supervisor, to one board, and sent away."""
    folder = stage.folder / "signed"
    folder.mkdir()
    (folder / "identity.key").write_text("ab" * 32, encoding="ascii")
    (folder / "tokens").write_text(token_line("sue", "supervisor", SUPERVISOR))
    server = Server(stage.binary, folder, "--token-file", str(folder / "tokens"))
    ask = lambda method, path, body=None: urllib.request.urlopen(urllib.request.Request(
        server.http + path, body and json.dumps(body).encode(), method=method,
        headers={"Authorization": f"Bearer {SUPERVISOR}", "Content-Type": "application/json"}))
    try:
        page = stage.browser.new_page()
        page.goto(f"{server.http}/wallboard" + place("now", "en", "dark", "desk"))
        page.fill(".entry input", "nobody")
        page.keyboard.press("Enter")
        page.wait_for_selector(".entry .problem:not(:empty)")
        page.fill(".entry input", SUPERVISOR)
        page.keyboard.press("Enter")
        wait_drawn(page, "now")
        page.reload()
        wait_drawn(page, "now")
        assert SUPERVISOR not in page.url and SUPERVISOR not in page.content()
        page.close()
        screen = stage.browser.new_page()
        screen.goto(f"{server.http}/wallboard" + place("queues", "en", "dark", "wall"))
        screen.click(".entry button.second")
        code = screen.wait_for_selector(".entry .code:not(:empty)").inner_text()
        screen.screenshot(path=stage.out / "pairing.png")
        ask("POST", "/api/v1/devices/confirm", {"code": code, "board": "now", "name": "hall"}).close()
        wait_drawn(screen, "now")
        assert screen.locator(".tabs button").count() == 1
        ask("DELETE", "/api/v1/devices/hall").close()
        screen.wait_for_selector(".entry:not([hidden])")
        screen.close()
    finally:
        server.stop()


def check_midnight(stage):
    """At midnight the day is another one, its counts begin anew, and who waits goes on waiting."""
    centre = Centre(stage.binary, stage.folder / "midnight", "--at", "23:59", "--speed", "4")
    try:
        _, head = stage.snapshot("now", centre)
        assert head["day"]["end"] - head["as_of"] <= 120_000, head
        # One who calls before midnight in a queue that nobody serves at night.
        at = rfc3339(head["as_of"])
        centre.send([
            event("late-1", "interaction.started", at, interaction_id="late", channel="voice", direction="inbound"),
            event("late-2", "queue.entered", at, visit_id="late.q1", interaction_id="late", queue_id="night",
                  visit_kind="customer"),
        ])
        page = stage.page("queues", centre=centre)
        row = ".rows tr[data-id='night']"
        page.wait_for_selector(row)
        assert text(page, f"{row} td[data-figure='offered@today'] .value") == "1"
        tomorrow = datetime.datetime.fromtimestamp(head["day"]["end"] / 1000, zoneinfo.ZoneInfo(head["zone"]))
        page.wait_for_function("day => document.querySelector('.day').textContent.startsWith(day)",
                               arg=tomorrow.strftime("%Y-%m-%d"), timeout=60_000)
        page.wait_for_function(
            # A column that no queue has a figure for is not shown.
            "row => { const shown = (f) => { const at = document.querySelector(`${row} [data-figure='${f}']`);"
            " return at?.offsetParent ? at.querySelector('.value').textContent : undefined };"
            " return shown('waiting') === '1' && ['0', '—', undefined].includes(shown('offered@today')) }", arg=row)
        page.close()
    finally:
        assert centre.stop() == 0
    stage.no_problem()


def check_a_server_that_dies_and_comes_back(stage):
    """Killed, the picture looks old within 5 s and stays; started again, it is fresh by itself."""
    folder = stage.folder / "dies"
    centre = Centre(stage.binary, folder, "--at", "11:40")
    page = stage.page("now", centre=centre)
    waiting = text(page, "[data-figure='waiting'] .figure")
    assert page.locator("body[data-stale]").count() == 0
    killed = time.monotonic()
    centre.kill()
    page.wait_for_selector("body[data-stale]", timeout=5_000)
    print(f"        looks old {time.monotonic() - killed:.1f} s after the end")
    assert re.fullmatch(r"\d+", waiting) and page.locator("[data-figure='waiting'] .figure").count() == 1
    page.wait_for_selector("body[data-stale='red']", timeout=20_000)
    page.screenshot(path=stage.out / "stale.png")
    again = Centre(stage.binary, folder, "--at", "11:40", port=centre.port)
    try:
        page.wait_for_selector("body:not([data-stale])", timeout=PATIENCE_MS)
        page.wait_for_selector(".link[data-state='live']")
        page.close()
    finally:
        assert again.stop() == 0
    # The browser itself says that a server is not there.
    stage.problems = [p for p in stage.problems if "ERR_" not in p]
    stage.no_problem()
