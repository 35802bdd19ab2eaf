"""A demo that serves: a simulated day, live, and questions to it."""
import json
import os
import signal
import subprocess
import threading
import urllib.parse
import urllib.request


class Centre:
    """One process of `callgauge demo`; `url` is where it listens."""

    def __init__(self, binary, folder, *options, port=0, agents=16, days=2):
        command = [binary, "demo", "--data", str(folder), "--seed", "7", "--days", str(days),
                   "--agents", str(agents), "--http", f"127.0.0.1:{port}", "--flight", "127.0.0.1:0",
                   *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, encoding="utf-8",
                                        env=dict(os.environ, LANG="C", NO_COLOR="1"))
        errors = []
        reading = threading.Thread(target=lambda: errors.extend(self.process.stderr), daemon=True)
        reading.start()
        self.url = None
        for line in self.process.stdout:
            if line.startswith("Wallboard:"):
                self.url = line.split()[-1].removesuffix("/wallboard")
            if "Ctrl-C" in line:
                break
        if self.url is None:
            reading.join(timeout=5)
            raise RuntimeError(f"the demo did not start: {''.join(errors)[-2000:]}")
        # Read on, so that it never waits for its messages to be read.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.wait_first_frame()

    def wait_first_frame(self):
        """Returns when the live board has something to show: a stream says nothing before."""
        where = f"{self.url}/api/v1/live/stream"
        with urllib.request.urlopen(where, timeout=60) as stream:
            next(line for line in stream if line.startswith(b"event: snapshot"))

    @property
    def port(self):
        return urllib.parse.urlsplit(self.url).port

    def kill(self):
        """As a crash ends it."""
        self.process.kill()
        self.process.wait(timeout=60)

    def stop(self):
        """As Ctrl-C ends it; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=120)

    def get(self, path, **query):
        """JSON of a route."""
        where = f"{self.url}{path}?{urllib.parse.urlencode(query, doseq=True)}"
        with urllib.request.urlopen(where, timeout=60) as answer:
            return json.load(answer)

    def sql(self, text):
        """The rows of a query."""
        body = json.dumps({"sql": text}).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/sql", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["rows"]

    def send(self, events):
        """Sends events; returns when they are on the disk and can be seen."""
        lines = "\n".join(json.dumps(event) for event in events).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/events", lines,
                                         {"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            receipt = json.load(answer)
        if receipt["rejected"]:
            raise RuntimeError(f"rejected: {receipt['errors']}")
        return receipt
