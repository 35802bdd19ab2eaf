#!/usr/bin/env python3
"""Drives `callgauge serve --flight` with the clients that people use, on simulated data.

Each check is a function of a module beside this one; its first line says what it shows. A package
index that cannot be reached is told and skips the checks that need it: nothing else does.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from callgauge_cli import find_binary, venv_python  # noqa: E402
from serving import Place  # noqa: E402
from shapes import SHAPES  # noqa: E402

CACHE = pathlib.Path.home() / ".cache" / "callgauge"


def checks():
    """The checks of this environment, by name."""
    import adbc_checks
    import dialects
    import frames
    import guides
    import ingest_checks

    for module in (adbc_checks, frames, dialects, ingest_checks, guides):
        for name, check in vars(module).items():
            if name.startswith("check_") and check.__module__ == module.__name__:
                yield f"{module.__name__}.{name[6:]}", check


def run_all(place):
    failed = []
    for name, check in checks():
        try:
            check(place)
            print(f"ok      {name}")
        except Exception:
            failed.append(name)
            print(f"FAILED  {name}: {check.__doc__.strip()}")
            traceback.print_exc()
    return failed


def inside(arguments):
    """The checks themselves, in an environment that has the packages."""
    with tempfile.TemporaryDirectory() as folder, Place(arguments.bin, folder) as place:
        failed = run_all(place)
        if arguments.dbapi:
            said = json.dumps({"sql": SHAPES["analyst"], "rows": place.said["analyst"]})
            done = subprocess.run([arguments.dbapi, str(HERE / "dbapi_checks.py"), place.address,
                                   place.analyst], input=said, text=True)
            failed += ["dbapi_checks"] * (done.returncode != 0)
    print(f"{len(failed)} check(s) failed: {', '.join(failed)}" if failed else "all clients agree")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="the binary; otherwise CALLGAUGE_BIN or cargo's")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--dbapi", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(find_binary(arguments.bin))
    if arguments.inside:
        return inside(arguments)
    venv = pathlib.Path(os.environ.get("CALLGAUGE_VENV", CACHE / "venv"))
    python = venv_python(venv, HERE / "requirements.txt")
    if python is None:
        return 0
    # flightsql-dbapi needs an older SQLAlchemy than sqlalchemy-adbc.
    dbapi = venv_python(venv.with_name(venv.name + "-dbapi"), HERE / "requirements-dbapi.txt")
    command = [python, str(HERE), "--inside", "--bin", arguments.bin]
    return subprocess.run(command + (["--dbapi", dbapi] if dbapi else [])).returncode


if __name__ == "__main__":
    sys.exit(main())
