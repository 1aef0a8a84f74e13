"""The command line of tests/lab/internet."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Optional

from . import capture, isolation, linux
from .internet import DEFAULT_STATE, Internet
from .linux import LabError


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except LabError as error:
        print(f"internet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="internet", description="The internet in a box (root only).")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help=f"default {DEFAULT_STATE}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.add_argument("--state", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.set_defaults(run=run)
        return added

    up = command("up", _up, "build it, and return when every server serves")
    up.add_argument("--no-tor", action="store_true", help="without the Tor network (1 s in place of 25)")
    up.add_argument("--keep", action="store_true", help="leave a failed one as it is, for a look at its logs")
    down = command("down", _down, "remove all of it, whatever state it is in")
    down.add_argument("--force", action="store_true", help="also what is left of a lab whose state directory is lost")
    command("status", _status, "JSON; exit 0 if all is well, 1 if something is not, 5 if no lab is up")
    command("replug", _replug, "new NICs for those that are not on the fake host, in a router or gone with one")
    execute = command("exec", _exec, "run a program in a lab host (isp, net, host, …) or any pinned namespace")
    execute.add_argument("host")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    watch = command("capture", _capture, "print what passes an interface until ^C")
    watch.add_argument("host")
    watch.add_argument("interface")
    watch.add_argument("-w", dest="file", type=Path, help="write a pcap file instead")
    watch.add_argument("--seconds", type=float, help="end by itself")
    isolated = command("isolated", _isolated, "run a program with private /run, mounts and processes: no leftovers")
    isolated.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _up(options: argparse.Namespace) -> int:
    # An end by SIGTERM (a test's time limit) cleans up like any other failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    Internet(options.state).up(tor=not options.no_tor, report=_say, keep_failed=options.keep)
    print(options.state / "lab.json")
    return 0


def _down(options: argparse.Namespace) -> int:
    lab = Internet(options.state)
    if not (lab.force_down(_say) if options.force else lab.down(_say)):
        _say("no lab was up")
    return 0


def _status(options: argparse.Namespace) -> int:
    status = Internet(options.state).status()
    print(json.dumps(status, indent=2))
    if not status["up"]:
        return 5
    parts = (status["processes"], status["namespaces"], status["nics"])
    return 0 if all(all(part.values()) for part in parts) else 1


def _replug(options: argparse.Namespace) -> int:
    lab = Internet(options.state)
    lab.facts  # says so if no lab is up
    for name in lab.replug():
        print(name)
    return 0


def _resolve(host: str) -> str:
    for netns in (f"lab-{host}", host):
        if linux.pin_of(netns).exists():
            return netns
    raise LabError(f"no namespace lab-{host} or {host} in {linux.RUN_NETNS}")


def _argv(options: argparse.Namespace) -> list[str]:
    argv: list[str] = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise LabError("no program given")
    return argv


def _exec(options: argparse.Namespace) -> int:
    argv = _argv(options)
    linux.enter_netns(_resolve(options.host))
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}") from None


def _capture(options: argparse.Namespace) -> int:
    watched = capture.Capture(_resolve(options.host), options.interface)
    watched.start()
    shown = 0
    deadline: Optional[float] = time.monotonic() + options.seconds if options.seconds else None
    try:
        while deadline is None or time.monotonic() < deadline:
            time.sleep(0.1)  # frames are printed in batches; the capture itself misses none
            if options.file is None:
                for frame in watched.frames[shown:]:
                    print(frame, flush=True)
                    shown += 1
    except KeyboardInterrupt:
        pass
    frames = watched.stop()
    if options.file is not None:
        capture.write_pcap(options.file, frames)
    else:
        for frame in frames[shown:]:
            print(frame)
    _say(f"{len(frames)} frames")
    return 0


def _isolated(options: argparse.Namespace) -> int:
    return isolation.run(_argv(options))
