"""The sessions that documents show are what happens: each fenced block marked `console test` is run.

A line that begins with "$ " is run by bash in lab-host, in one directory for the whole document, with
routerctl on PATH; what follows, up to the next such line, is what it prints (both streams). Its exit code
must be 0: a session that shows a failure says so by `|| echo ...`. In the comparison any number stands for
any number (times, process ids, ports) except inside addresses and names, runs of blanks count as one, "…"
stands for anything in a line, and a line of "…" alone for any lines.

Each document begins with the definition of `./dev demo` and the profiles that it names, and must end with
no router left.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, List

from support import LabTest, say

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("ORRERY_PROGRAMS", ROOT / "build/dev/bin"))

_BLOCK = re.compile(r"^```console test\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.:])\d+(?=(?:ms|s|%|kB)?(?![\w.:/]))")


@dataclass
class Shown:
    command: str
    output: List[str]


def sessions(text: str) -> List[Shown]:
    shown: List[Shown] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append(Shown(line[2:], []))
            elif shown:
                shown[-1].output.append(line)
    return shown


def documents() -> List[Path]:
    """Those that show a session."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if _BLOCK.search(page.read_text(encoding="utf-8"))]


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in _plain(line).split("…"))


def _plain(line: str) -> str:
    return " ".join(_NUMBER.sub("0", line).split())


def matches(expected: List[str], got: List[str]) -> bool:
    pattern = ""
    for line in expected:
        pattern += "(?:.*\n)*" if line.strip() == "…" else _pattern(line) + "\n"
    return re.fullmatch(pattern, "".join(_plain(line) + "\n" for line in got)) is not None


class Comparison(unittest.TestCase):
    def test_numbers_and_gaps(self) -> None:
        self.assertTrue(matches(["ready  12 ms", "…", "end"], ["ready 3112 ms", "a", "b", "end"]))
        self.assertTrue(matches(['{"port": …, "a"}'], ['{"port": 1, "x": 2, "a"}']))
        self.assertTrue(matches(["dnsmasq  running  312  0"], ["dnsmasq running 9 0"]))

    def test_differences(self) -> None:
        self.assertFalse(matches(["10.1.1.2"], ["10.1.1.3"]))
        self.assertFalse(matches(["ready"], ["failed"]))
        self.assertFalse(matches(["a"], ["a", "b"]))
        self.assertFalse(matches(["galaxy0"], ["galaxy1"]))


class Docs(LabTest):
    with_tor: ClassVar[bool] = True

    def prepare(self, directory: Path) -> None:
        shutil.copyfile(ROOT / "configs/routers/demo/network0.toml", directory / "network0.toml")
        for source, name in (
            (self.facts["openvpn"]["udp"]["profile"], "galaxy0.ovpn"),
            (self.facts["tor"]["torrc"], "star0.torrc"),
        ):
            shutil.copyfile(source, directory / name)
            (directory / name).chmod(0o600)

    def run_shown(self, command: str, directory: Path) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "NO_COLOR": "1"}
        return subprocess.run(
            ["nsenter", "--net=/run/netns/lab-host", "bash", "-c", command],
            cwd=directory, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120,
        )

    def test_sessions(self) -> None:
        self.assertIn(ROOT / "README.md", documents())
        for page in documents():
            name = page.name
            shown = sessions(page.read_text(encoding="utf-8"))
            directory = Path(self._directory.name) / page.stem
            directory.mkdir()
            self.prepare(directory)
            self.addCleanup(self.run_shown, "routerctl destroy --all --force", directory)
            for step in shown:
                done = self.run_shown(step.command, directory)
                got = done.stdout.splitlines()
                # What follows would fail for this one's reason; another output is worth going on.
                self.assertEqual(done.returncode, 0, f"$ {step.command}\n{done.stdout}")
                with self.subTest(document=name, command=step.command):
                    wanted = "\n".join(step.output)
                    self.assertTrue(matches(step.output, got), f"shown:\n{wanted}\n\ngot:\n{done.stdout}")
                say(f"  {name}: {step.command}")
            left = self.run_shown("routerctl list", directory)
            self.assertIn("no routers", left.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
