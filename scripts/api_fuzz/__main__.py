#!/usr/bin/env python3
"""Sends what nobody would write to every operation of `/api/v1/openapi.json`, over simulated data.

schemathesis makes requests of the document, valid ones and broken ones; `hooks.py` says what must
hold of the answers. The same seed sends the same requests. Without a package index the step is
skipped, and says so.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "clients")]

from callgauge_cli import DataFolder, find_binary  # noqa: E402
from serving import Server  # noqa: E402

ENDLESS = "liveStream"
CACHE = pathlib.Path.home() / ".cache" / "callgauge"


def schemathesis():
    """The program, in the virtual environment; None without an index."""
    venv = pathlib.Path(os.environ.get("CALLGAUGE_VENV", CACHE / "venv"))
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    requirements = str(HERE / "requirements.txt")
    done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", requirements],
                          capture_output=True, text=True)
    if done.returncode != 0:
        print(f"SKIPPED: schemathesis cannot be installed: {done.stderr.strip()[-300:]}")
        return None
    return str(venv / "bin" / "schemathesis")


def serve(binary, folder):
    """A server over two simulated days, that asks for no token."""
    data = DataFolder(binary, folder)
    key = folder / "identity.key"
    key.write_text("0123456789abcdef" * 4 + "\n", encoding="ascii")
    data.environment["CALLGAUGE_IDENTITY_KEY_FILE"] = str(key)
    events = folder / "days.ndjson"
    subprocess.run([binary, "simulate", "--seed", "7", "--days", "2", "--agents", "8",
                    "--out", str(events)], check=True, capture_output=True)
    data.run("import", "--format", "ndjson", str(events))
    return Server(binary, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="the binary; otherwise CALLGAUGE_BIN or cargo's")
    parser.add_argument("--examples", type=int, default=200, help="requests of an operation")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--operation", help="only this operationId")
    arguments = parser.parse_args()
    program = schemathesis()
    if program is None:
        return 0
    checks = "answers_are_no_fault_of_the_server,errors_look_alike"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = serve(os.path.abspath(find_binary(arguments.bin)), folder)
        try:
            command = [program, "run", f"{server.http}/api/v1/openapi.json",
                       "--checks", checks, "--max-examples", str(arguments.examples),
                       "--seed", str(arguments.seed), "--phases", "examples,coverage,fuzzing",
                       "--generation-database", "none", "--suppress-health-check", "all",
                       "--request-timeout", "70", "--warnings", "off", "--no-color",
                       "--continue-on-failure"]
            if arguments.operation:
                command += ["--include-operation-id", arguments.operation]
            else:
                # An answer without end: each would last as long as the patience for one.
                command += ["--exclude-operation-id", ENDLESS]
            begun = time.monotonic()
            environment = dict(os.environ, PYTHONPATH=str(HERE), SCHEMATHESIS_HOOKS="hooks")
            failed = subprocess.run(command, cwd=folder, env=environment).returncode
            print(f"{arguments.examples} requests of an operation, seed {arguments.seed}: "
                  f"{time.monotonic() - begun:.0f} s")
            if server.process.poll() is not None:
                print(f"the server has ended with {server.process.returncode}")
                failed = 1
        finally:
            server.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
