"""Up, down, and every way in which they can go wrong: nothing stays, and nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from lab import definitions, linux, plan, snapshot
from lab.client import Client
from lab.internet import Internet
from lab.linux import LabError

PROGRAM = str(Path(__file__).parent / "internet")


def changes(before: snapshot.Snapshot) -> list[str]:
    """Without cgroups: the lab makes none, and other users of the machine may at any time."""
    return snapshot.difference(before, snapshot.take(), ignore=lambda section, _: section == "cgroups")


class Lifecycle(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="lab-", dir="/run")
        self.addCleanup(directory.cleanup)
        self.state = Path(directory.name) / "state"
        self.lab = Internet(self.state)
        self.addCleanup(self.lab.down)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [PROGRAM, "--state", str(self.state), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    def assert_unchanged(self, before: snapshot.Snapshot) -> None:
        self.assertEqual(changes(before), [])

    def test_up_and_down_leave_the_machine_as_it_was(self) -> None:
        before = snapshot.take()
        self.assertEqual(self.command("up", "--no-tor").returncode, 0)
        status = self.command("status")
        self.assertEqual(status.returncode, 0, status.stdout)
        during = changes(before)
        sections = {line.partition(":")[0] for line in during}
        self.assertTrue({"mounts", "processes", "files"} <= sections, during)
        self.assertFalse([line for line in during if line.startswith("own namespace")])
        self.assertEqual(self.command("down").returncode, 0)
        self.assert_unchanged(before)
        self.assertFalse(self.state.exists())
        again = self.command("down")
        self.assertEqual((again.returncode, again.stderr), (0, "no lab was up\n"))
        self.assertEqual(self.command("status").returncode, 5)

    def test_up_on_top_of_a_lab_is_refused_and_harmless(self) -> None:
        self.lab.up(tor=False)
        for state in (self.state, self.state.with_name("other")):
            second = subprocess.run([PROGRAM, "--state", str(state), "up"], capture_output=True, text=True)
            self.assertEqual(second.returncode, 1)
            self.assertIn("run `tests/lab/internet down` first", second.stderr)
            self.assertNotIn("Traceback", second.stderr)
        self.assertFalse(self.state.with_name("other").exists())
        self.assertEqual(self.command("status").returncode, 0)

    def test_a_directory_of_others_is_left_alone(self) -> None:
        self.state.mkdir()
        (self.state / "precious").write_text("x")
        for command in ("up", "down"):
            self.assertEqual(self.command(command).returncode, 1)
            self.assertEqual([p.name for p in self.state.iterdir()], ["precious"])
        (self.state / "precious").unlink()

    def test_down_after_the_death_of_any_server(self) -> None:
        before = snapshot.take()
        names = self.lab.up(tor=False) and [p.name for p in self.lab.ledger.processes()]
        self.lab.down()
        for name in names:
            with self.subTest(server=name):
                self.lab.up(tor=False)
                victim = next(p for p in self.lab.ledger.processes() if p.name == name)
                os.kill(victim.pid, signal.SIGKILL)
                linux.wait_until("its end", lambda: not victim.alive)
                status = self.command("status")
                self.assertEqual(status.returncode, 1)
                dead = [n for n, alive in json.loads(status.stdout)["processes"].items() if not alive]
                self.assertEqual(dead, [name])
                self.lab.down()
                self.assert_unchanged(before)

    def test_down_after_a_kill_of_up(self) -> None:
        before = snapshot.take()
        for number in range(12):
            after = 0.05 + number * 0.06
            with self.subTest(killed_after=f"{after:.2f} s"):
                up = subprocess.Popen([PROGRAM, "--state", str(self.state), "up"], stderr=subprocess.DEVNULL)
                time.sleep(after)  # any moment will do: each is another state to clean up
                up.kill()
                up.wait()
                self.assertEqual(self.command("down").returncode, 0)
                # The tools that it was running (openssl, tor-gencert) get SIGKILL with it, a moment later.
                left: list[str] = []

                def clean() -> bool:
                    left[:] = changes(before)
                    return not left

                try:
                    linux.wait_until("everything gone", clean, every=0.1)
                except LabError:
                    self.assertEqual(left, [])

    def test_a_failed_up_cleans_up_and_names_the_cause(self) -> None:
        before = snapshot.take()
        with mock.patch.object(linux, "SEARCH_PATH", "/nonexistent"):
            with self.assertRaisesRegex(LabError, "not installed"):
                self.lab.up(tor=False)
        self.assert_unchanged(before)
        with mock.patch.object(plan, "HTTP", "192.0.2.1"):  # nobody's address
            with self.assertRaisesRegex(LabError, "world ended with 1"):
                self.lab.up(tor=False)
        self.assert_unchanged(before)

    def test_down_waits_for_up_and_for_another_down(self) -> None:
        before = snapshot.take()

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            argv = [PROGRAM, "--state", str(self.state), *arguments]
            return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        up = start("up", "--no-tor")
        linux.wait_until("the start of up", lambda: linux.pin_of(plan.NET).exists())
        downs = [start("down"), start("down")]
        self.assertEqual([p.wait(30) for p in (up, *downs)], [0, 0, 0])
        self.assert_unchanged(before)

    def test_a_lost_state_directory(self) -> None:
        before = snapshot.take()
        self.lab.up(tor=False)
        shutil.rmtree(self.state)
        self.assertEqual(self.command("up").returncode, 1)
        self.assertEqual(self.command("down", "--force").returncode, 0)
        self.lab.ledger.end_all()  # they have ended: buries them
        self.assert_unchanged(before)

    def test_strays_in_its_namespaces_end_with_it(self) -> None:
        before = snapshot.take()
        self.lab.up(tor=False)
        stray = linux.in_netns(plan.HOST, lambda: subprocess.Popen(["sleep", "1000"]))
        reported: list[str] = []
        self.lab.down(reported.append)
        self.assertEqual(stray.wait(5), -signal.SIGTERM)
        self.assertEqual(reported, [f"ending sleep ({stray.pid}), left in {plan.HOST}"])
        self.assert_unchanged(before)

    def test_a_pid_in_use_again_is_not_ended(self) -> None:
        self.lab.up(tor=False)
        with subprocess.Popen(["sleep", "1000"]) as bystander:
            with open(self.state / "processes.jsonl", "a") as ledger:
                ledger.write(json.dumps({"name": "old", "pid": bystander.pid, "started": 1}) + "\n")
                ledger.write('{"name": "cut')
            self.lab.down()
            self.assertIsNone(bystander.poll())
            bystander.kill()

    def test_a_client_that_came_and_went_is_no_fault(self) -> None:
        self.lab.up(tor=False)
        with Client(self.lab, "c1") as client:
            self.assertTrue(linux.pin_of(client.netns).exists())
        self.assertFalse(linux.pin_of(client.netns).exists())
        self.assertEqual(self.command("status").returncode, 0)

    def test_a_namespace_of_others_is_left_alone(self) -> None:
        self.lab.up(tor=False)
        linux.make_netns("lab-others")
        self.addCleanup(linux.remove_netns, "lab-others")
        with self.assertRaisesRegex(LabError, "not ours"):
            Client(self.lab, "others")
        self.lab.down()
        self.assertTrue(linux.pin_of("lab-others").exists())

    def test_exec(self) -> None:
        self.lab.up(tor=False)
        shown = self.command("exec", "host", "--", "ip", "-br", "link")
        self.assertIn("52:54:00:ab:cd:01", shown.stdout)
        self.assertEqual(self.command("exec", "host", "--", "sh", "-c", "exit 7").returncode, 7)
        self.assertIn("no namespace", self.command("exec", "nonesuch", "--", "true").stderr)

    def test_definitions_name_what_is_there(self) -> None:
        import tomllib

        facts = self.lab.up(tor=False)
        directory = self.state.with_name("definitions")
        files = definitions.write_definitions(directory, facts)
        self.assertEqual([f.name for f in files], ["network0.toml", "network1.toml"])
        for file, nic in zip(files, facts["nics"]):
            routers = tomllib.loads(file.read_text())["router"]
            self.assertEqual(list(routers), ["universe0", "galaxy0", "galaxy1", "galaxy2", "galaxy3"])
            self.assertEqual(routers["universe0"]["uplink"]["nic"]["mac"], nic["mac"])
            for name in ("galaxy0", "galaxy1"):
                profile = directory / routers[name]["egress"]["profile"]
                self.assertEqual(profile.stat().st_mode & 0o777, 0o600)


class SnapshotSees(unittest.TestCase):
    """Positive controls: a change that the snapshot missed would prove nothing."""

    NETNS = "lab-snapshot"

    def setUp(self) -> None:
        linux.make_netns(self.NETNS)
        self.addCleanup(linux.remove_netns, self.NETNS)
        linux.ip_batch(self.NETNS, ["link set lo up", "link add veth1 type veth peer name veth2", "link set veth1 up"])

    def test_network(self) -> None:
        changes = {
            "links": ["link set veth2 mtu 1400"],
            "addresses": ["address add 192.0.2.1/24 dev lo"],
            "routes": ["route add blackhole 198.51.100.0/24"],
            "rules": ["rule add fwmark 7 table 7"],
            "neighbours": ["neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev veth1 nud permanent"],
        }
        for section, lines in changes.items():
            with self.subTest(section=section):
                before = snapshot.take([self.NETNS])
                linux.ip_batch(self.NETNS, lines)
                self.assert_seen(section, before)

    def test_nft_and_sysctls(self) -> None:
        before = snapshot.take([self.NETNS])
        linux.run(["nft", "add table inet x"], self.NETNS)
        linux.write_sysctls(self.NETNS, {"ipv4/ip_default_ttl": "65"})
        self.assert_seen("nft", before)
        self.assert_seen("sysctls", before)

    def test_machine(self) -> None:
        before = snapshot.take()
        with subprocess.Popen(["sleep", "1000"]) as process, tempfile.TemporaryDirectory(dir="/run/netns") as directory:
            linux.mount("tmpfs", directory, "tmpfs", 0)
            changed = changes(before)
            linux.unmount(directory)
            process.kill()
        sections = {line.partition(":")[0] for line in changed}
        self.assertEqual(sections, {"processes", "files", "mounts"}, changed)

    def assert_seen(self, section: str, before: snapshot.Snapshot) -> None:
        changed = snapshot.difference(before, snapshot.take([self.NETNS]))
        self.assertTrue([line for line in changed if line.startswith(f"{self.NETNS}: {section}: +")], changed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
