"""A server with simulated data behind it, and with tokens, as the checks need it."""
import hashlib
import os
import pathlib
import subprocess
import threading

from callgauge_cli import DataFolder

ANALYST = "analyst-0123456789abcdef0123456789abcdef"
SENDER = "sender-0123456789abcdef0123456789abcdef"


def token_line(name, roles, token):
    return f"{name} {roles} never {hashlib.sha256(token.encode()).hexdigest()}\n"


class Server:
    """One process of `callgauge serve`; `flight` and `http` are where it listens."""

    def __init__(self, binary, folder, *options):
        command = [binary, "serve", "--data", str(folder / "data"), "--http", "127.0.0.1:0",
                   "--flight", "127.0.0.1:0", "--identity-key", str(folder / "identity.key"),
                   *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, LANG="C"))
        self.flight = self.http = None
        while self.flight is None or self.http is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the server did not start")
            if line.startswith("listening on "):
                self.http = line.split()[-1]
            if line.startswith("Arrow Flight SQL: "):
                self.flight = line.split()[-1]
        # Read on, so that the server never waits for its messages to be read.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


class Place:
    """A folder with a few simulated days, a server with tokens over it, and one without."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = pathlib.Path(folder)
        self.analyst = ANALYST
        self.sender = SENDER
        self.data = DataFolder(binary, self.folder)

    def __enter__(self):
        events = self.folder / "days.ndjson"
        subprocess.run([self.binary, "simulate", "--seed", "7", "--days", "3", "--agents", "12",
                        "--out", str(events)], check=True, capture_output=True)
        key = self.folder / "identity.key"
        key.write_text("0123456789abcdef" * 4 + "\n", encoding="ascii")
        self.data.environment["CALLGAUGE_IDENTITY_KEY_FILE"] = str(key)
        self.data.run("import", "--format", "ndjson", str(events))
        # Before a server has the folder: what the command line says is what all clients must say.
        self.said = {}
        from shapes import SHAPES
        for name, text in SHAPES.items():
            self.said[name] = self.data.sql(text)
        (self.folder / "tokens").write_text(
            token_line("ann", "analyst", ANALYST) + token_line("pbx", "ingest_arrow", SENDER))
        self.server = Server(self.binary, self.folder, "--token-file",
                             str(self.folder / "tokens"))
        self.address = self.server.flight
        return self

    def __exit__(self, *_):
        self.server.stop()

    def open_server(self):
        """A server over another, empty folder that asks for no token."""
        folder = self.folder / "open"
        folder.mkdir(exist_ok=True)
        (folder / "identity.key").write_text("ab" * 32, encoding="ascii")
        return Server(self.binary, folder)
