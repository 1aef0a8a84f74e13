"""What routerctl does with a bad word or a bad definition: its exit code, and what it says, to the letter."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Optional

from lab import linux, snapshot
from lab.product import programs

GOLDEN = Path(__file__).resolve().parents[1] / "golden/definitions"
NOBODY = 65534


class Definitions(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="definitions-", dir="/run")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.directory.chmod(0o755)

    def ctl(self, *arguments: str, user: Optional[int] = None) -> subprocess.CompletedProcess[str]:
        where = programs() if user is None else self.readable_programs()
        return subprocess.run(
            [str(where / "routerctl"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            cwd=self.directory,
            env={"PATH": linux.SEARCH_PATH, "LANG": "C"},
            user=user,
        )

    def readable_programs(self) -> Path:
        """Copies that any user may run: the build tree may be in a home directory that is closed."""
        copies = Path(tempfile.mkdtemp(prefix="programs-", dir="/run"))
        self.addCleanup(shutil.rmtree, copies)
        copies.chmod(0o755)
        for program in ("routerctl", "orrery-supervisor"):
            shutil.copy2(programs() / program, copies / program)
        return copies

    def lay_out(self, case: Path) -> list[str]:
        """The files of one case, as tests/unit/routers/spec/golden_test.cc reads them."""
        for file in (GOLDEN / "files").iterdir():
            target = self.directory / file.name
            shutil.copyfile(file, target)
            target.chmod(0o644 if file.name.startswith("open-") else 0o600)
        names = [case.name]
        texts: dict[str, list[str]] = {case.name: []}
        for line in case.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True):
            if line.startswith("#=== "):
                names.append(line[5:].strip())
                texts[names[-1]] = []
            else:
                texts[names[-1]].append(line)
        for name, lines in texts.items():
            (self.directory / name).write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        return names

    def test_every_bad_definition(self) -> None:
        """By `spawn`: nothing is made, the exit code is 3, and all complaints come, word for word."""
        before = snapshot.take()
        cases = sorted((GOLDEN / "bad").glob("*.toml"))
        self.assertGreaterEqual(len(cases), 60)
        for case in cases:
            with self.subTest(definition=case.stem):
                done = self.ctl("spawn", *self.lay_out(case))
                self.assertEqual((done.returncode, done.stdout), (3, ""))
                self.assertIn(case.with_suffix(".expected").read_text(), done.stderr)
                self.assertRegex(done.stderr.splitlines()[-1], r"^routerctl: \d+ errors? in the definitions$")
        self.assertEqual(snapshot.difference(before, snapshot.take()), [])

    def test_validate_says_the_same(self) -> None:
        case = GOLDEN / "bad/dhcp-range-outside.toml"
        names = self.lay_out(case)
        for command in ("validate", "plan", "spawn"):
            done = self.ctl(command, *names)
            self.assertEqual(done.returncode, 3)
            self.assertIn(case.with_suffix(".expected").read_text(), done.stderr)

    def test_good_definitions_are_valid(self) -> None:
        for case in sorted((GOLDEN / "good").glob("*.toml")):
            with self.subTest(definition=case.stem):
                done = self.ctl("validate", *self.lay_out(case))
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_usage(self) -> None:
        wrong = (
            ("",),
            ("spwan",),
            ("spawn",),
            ("spawn", "--cuont", "3", "x.toml"),
            ("spawn", "--count", "many", "x.toml"),
            ("status",),
            ("run", "galaxy0"),
            ("attach", "galaxy0"),
            ("attach", "galaxy0", "--netns", "a", "--pid", "1"),
            ("inspect", "galaxy0", "nonsense"),
            ("destroy",),
            ("init", "planet"),
        )
        for arguments in wrong:
            with self.subTest(arguments=arguments):
                done = self.ctl(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertTrue(done.stderr)

    def test_no_such_router(self) -> None:
        """A router that never was and one that was destroyed are the same to who asks: not running."""
        for arguments in (
            ("status", "galaxy0"),
            ("inspect", "galaxy0"),
            ("run", "galaxy0", "--", "true"),
            ("exec", "galaxy0", "--", "true"),
            ("attach", "galaxy0", "--pid", str(os.getpid())),
            ("destroy", "galaxy0"),
            ("restart", "galaxy0"),
            ("logs", "galaxy0"),
        ):
            with self.subTest(arguments=arguments):
                done = self.ctl(*arguments)
                self.assertEqual((done.returncode, done.stdout), (5, ""), done.stderr)
                self.assertIn("no router 'galaxy0'", done.stderr)

    def test_nothing_runs(self) -> None:
        self.assertEqual(self.ctl("events", "-f").returncode, 5)

    def test_not_permitted(self) -> None:
        names = self.lay_out(sorted((GOLDEN / "good").glob("*.toml"))[0])
        for name in self.directory.iterdir():
            os.chown(name, NOBODY, NOBODY)
        done = self.ctl("spawn", *names, user=NOBODY)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("not permitted", done.stderr)

    def test_no_such_file(self) -> None:
        done = self.ctl("spawn", "nowhere.toml")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("'nowhere.toml': No such file", done.stderr)

    def test_errors_as_json(self) -> None:
        names = self.lay_out(GOLDEN / "bad/dhcp-range-outside.toml")
        done = self.ctl("--json", "validate", *names)
        self.assertEqual(done.returncode, 3)
        self.assertIn('"line":9', (done.stdout + done.stderr).replace(" ", ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
