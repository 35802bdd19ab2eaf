"""What check scripts share: the binary, folders of data with questions, Python environments."""
import csv
import datetime
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


class CommandFailed(Exception):
    """The binary answered with an error; the text is its message."""


def find_binary(given):
    """The binary to test: `--bin`, CALLGAUGE_BIN, or the one in cargo's target folder."""
    named = given or os.environ.get("CALLGAUGE_BIN")
    if named:
        return named
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT, check=True, capture_output=True, text=True)
    target = pathlib.Path(json.loads(metadata.stdout)["target_directory"])
    for profile in ("release", "debug"):
        if (target / profile / "callgauge").exists():
            return str(target / profile / "callgauge")
    raise SystemExit("no binary: run `cargo build`, or give one with --bin")


def venv_python(folder, requirements):
    """The Python of a virtual environment with these requirements; None without an index."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"SKIPPED: {requirements} cannot be installed: {done.stderr.strip()[-300:]}")
        return None
    return str(python)


def micros(text_or_time):
    """Microseconds since 1970 of an ISO text (UTC if it has no offset) or a datetime."""
    time = text_or_time
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    delta = time - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def rfc3339(at):
    """The UTC text of microseconds since 1970."""
    return (EPOCH + datetime.timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class DataFolder:
    """One data folder and the binary that works on it."""

    def __init__(self, binary, path):
        self.binary = binary
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ, CALLGAUGE_ZONE="UTC", NO_COLOR="1")
        key = self.path.parent / "identity.key"
        if not key.exists():
            key.write_text("0123456789abcdef" * 4 + "\n", encoding="ascii")
        self.environment["CALLGAUGE_IDENTITY_KEY_FILE"] = str(key)

    def run(self, command, *arguments):
        """The standard output of one command."""
        done = subprocess.run(
            [self.binary, command, "--data", str(self.path / "data"), *arguments],
            capture_output=True, text=True, env=self.environment, encoding="utf-8")
        if done.returncode != 0:
            message = (done.stderr.strip() or done.stdout.strip()).replace("\n", " | ")
            raise CommandFailed(f"{command} exited with {done.returncode}: {message[:600]}")
        return done.stdout

    def import_events(self, events, name="events.ndjson"):
        """Writes events as NDJSON and imports them."""
        file = self.path / name
        with open(file, "w", encoding="utf-8") as out:
            for event in events:
                out.write(json.dumps(event, ensure_ascii=False) + "\n")
        return self.run("import", "--format", "ndjson", str(file))

    def sql(self, text):
        """The rows of a query, each a dict of texts; an empty text is NULL."""
        return list(csv.DictReader(io.StringIO(self.run("sql", "--format", "csv", text))))

    def kpi(self, ids, *options):
        """The rows of a KPI request, as the JSON of the command says."""
        answer = json.loads(self.run("kpi", *ids, "--format", "json", *options))
        return answer["rows"] if isinstance(answer, dict) else answer

    def live_cells(self, board, zone):
        """{key: value} of a live board, of a server that is started for it."""
        command = [self.binary, "serve", "--data", str(self.path / "data"), "--zone", zone,
                   "--http", "127.0.0.1:0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, env=self.environment, encoding="utf-8")
        try:
            said = []
            for line in server.stdout:
                said.append(line.strip())
                if address := re.search(r"listening on (http://\S+)", line):
                    return snapshot(address.group(1), board)
            raise CommandFailed(f"serve ended before it listened: {' | '.join(said)[:600]}")
        finally:
            server.terminate()
            server.communicate()

    def catalogue(self):
        """The ids of all KPIs."""
        rows = self.sql("SELECT * FROM kpi.catalog")
        name = "kpi" if rows and "kpi" in rows[0] else "id"
        return {row[name] for row in rows}


def snapshot(address, board):
    """{key: value} of a board as it is now."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{address}/api/v1/live/snapshot?board={board}") as answer:
                return {cell["k"]: cell["v"] for cell in json.load(answer)["cells"]}
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise CommandFailed(f"live board: {error.code} {error.read()[:300]}") from error
            time.sleep(0.1)
    raise CommandFailed("live board: not ready after half a minute")


def number(value):
    """A number of an answer; None for NULL."""
    if value is None or value == "":
        return None
    return float(value)
