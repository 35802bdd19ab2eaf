#!/usr/bin/env python3
"""Opens the wallboard of a simulated live day in Chromium and looks at it as people do.

Each check is a function of `checks`; its first line says what it shows. Pictures go to `--out`.
Without Chromium (it is installed where apt-get may) nothing is checked, and it says so.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
# A server with tokens is what the clients are tested with too.
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "clients")]

import chromium  # noqa: E402
from callgauge_cli import find_binary, venv_python  # noqa: E402

CACHE = pathlib.Path.home() / ".cache" / "callgauge"


def inside(arguments):
    """The checks themselves, in an environment that has the packages."""
    import checks
    from playwright.sync_api import sync_playwright

    failed, count = [], 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        # The whole of a container is the sandbox where the tests run as root.
        browser = playwright.chromium.launch(executable_path=arguments.chromium,
                                             args=["--no-sandbox"] * (os.geteuid() == 0))
        with checks.Stage(arguments.bin, pathlib.Path(folder), browser, arguments.out) as stage:
            for name, check in vars(checks).items():
                if not name.startswith("check_") or not name[6:].startswith(arguments.only):
                    continue
                begun = time.monotonic()
                count += 1
                try:
                    check(stage)
                    print(f"ok      {name[6:]} ({time.monotonic() - begun:.1f} s)")
                except Exception:
                    failed.append(name[6:])
                    print(f"FAILED  {name[6:]}: {check.__doc__.strip()}")
                    traceback.print_exc()
        browser.close()
    print(f"pictures: {arguments.out}")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or count == 0 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="the binary; otherwise CALLGAUGE_BIN or cargo's")
    parser.add_argument("--out", type=pathlib.Path, default=CACHE / "wallboard",
                        help="folder of the pictures")
    parser.add_argument("--only", default="", help="checks that begin so")
    parser.add_argument("--chromium", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.bin = os.path.abspath(find_binary(arguments.bin))
    if arguments.chromium:
        arguments.out.mkdir(parents=True, exist_ok=True)
        return inside(arguments)
    browser = chromium.find()
    if browser is None:
        print("skipped: no Chromium")
        return 0
    venv = pathlib.Path(os.environ.get("CALLGAUGE_VENV", CACHE / "venv"))
    python = venv_python(venv, HERE / "requirements.txt")
    if python is None:
        return 0
    command = [python, str(HERE), "--bin", arguments.bin, "--out", str(arguments.out),
               "--only", arguments.only, "--chromium", browser]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
