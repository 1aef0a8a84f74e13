"""The host before the first spawn and after the last destroy: identical, also where a spawn failed or was
killed on its way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import unittest
from pathlib import Path

from lab import linux, snapshot
from lab.client import Client
from support import ProductTest, say

NOBODY = 4242  # a port of the VPN's address that nobody serves


class Lifecycle(ProductTest):
    def setUp(self) -> None:
        self.host = self.facts["host"]["netns"]
        self.before = snapshot.take([None, self.host])
        self.addCleanup(self.product.ctl, "destroy", "--all")

    def assert_unchanged(self) -> None:
        """A link's end in the kernel comes a moment after its namespace's: waited for, not judged."""
        left: list[str] = []

        def clean() -> bool:
            left[:] = snapshot.difference(self.before, snapshot.take([None, self.host]))
            return not left

        try:
            linux.wait_until("the host as it was", clean, every=0.1)
        except linux.LabError:
            self.assertEqual(left, [])

    def edit(self, source: str, pattern: str, replacement: str) -> None:
        """In the definitions, until the test's end."""
        path = self.product.directory / source
        text = path.read_text()
        changed = re.sub(pattern, replacement, text)
        self.assertNotEqual(changed, text, f"{pattern} is not in {source}")
        path.write_text(changed)
        self.addCleanup(path.write_text, text)

    def assert_fails(self, *said: str, options: tuple[str, ...] = (), code: int = 1) -> str:
        began = time.monotonic()
        done = self.product.ctl("spawn", *options, "network0.toml")
        say(f"  exit {done.returncode} after {time.monotonic() - began:.1f} s: {done.stderr.splitlines()[-1:]}")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for text in said:
            self.assertIn(text, done.stderr)
        return done.stderr

    def assert_closed(self, router: str) -> None:
        """What could not be made ready lets nothing out."""
        seen = len(self.lab.seen("http"))
        page = f"http://{self.facts['http']['address']}/"
        done = self.product.ctl("run", router, "--", "curl", "-sS", "--max-time", "1", page)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(self.lab.seen("http")), seen)

    # --- success ------------------------------------------------------------------------------------

    def test_spawn_and_destroy(self) -> None:
        for _ in range(2):
            self.product.must("spawn", "network0.toml", "network1.toml")
            changes = snapshot.difference(self.before, snapshot.take([None, self.host]))
            during = {line.partition(":")[0] for line in changes}
            # The positive control: the snapshot sees what the product does.
            self.assertEqual(during, {"mounts", "cgroups", "processes", "files", self.host})
            for router in ("universe0", "galaxy0", "galaxy1", "galaxy2", "galaxy3"):
                self.product.fetch(f"network0.{router}", "http://page.lab/")
            self.product.destroy_all()
            self.assert_unchanged()

    def test_destroy_with_clients_attached(self) -> None:
        self.product.must("spawn", "network0.toml")
        with Client(self.lab, "stays") as client:
            self.product.attach(client, "galaxy3")
            client.fetch(f"http://{self.facts['http']['address']}/")
            self.product.destroy_all()
        self.assert_unchanged()

    def test_one_by_one(self) -> None:
        self.product.must("spawn", "network0.toml")
        refused = self.product.ctl("destroy", "universe0")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("galaxy0", refused.stderr)
        for router in ("galaxy3", "galaxy2", "galaxy1", "galaxy0", "universe0"):
            self.product.must("destroy", router)
        self.assert_unchanged()

    def test_nothing_to_destroy(self) -> None:
        self.assertEqual(self.product.ctl("destroy", "--all").returncode, 0)
        self.assert_unchanged()

    def test_without_a_supervisor(self) -> None:
        """Keeper and supervisor both dead: said by the exit code, repaired by spawn, removed by destroy."""
        for repair in (True, False):
            self.product.must("spawn", "network0.toml")
            self.assertEqual(self.product.ctl("status", "galaxy3").returncode, 0)
            processes = self.product.processes()
            for process in ("keeper", "supervisor"):
                os.kill(processes[f"galaxy3/{process}"], signal.SIGSTOP)  # so that neither replaces the other
            for process in ("keeper", "supervisor"):
                os.kill(processes[f"galaxy3/{process}"], signal.SIGKILL)
            linux.wait_until("no supervisor", lambda: self.product.ctl("status", "galaxy3").returncode == 5)
            if repair:
                self.product.must("spawn", "network0.toml")
                self.product.fetch("galaxy3", "http://page.lab/")
            self.product.destroy_all()
            self.assert_unchanged()

    # --- failure ------------------------------------------------------------------------------------

    def test_dead_openvpn_server(self) -> None:
        self.edit("galaxy0.ovpn", r"(?m)^(remote \S+) \d+", rf"\1 {NOBODY}")
        self.assert_fails("galaxy0", "tunnel")
        self.assert_closed("galaxy0")
        self.product.destroy_all()
        self.assert_unchanged()

    def test_openvpn_server_that_is_not_trusted(self) -> None:
        """A certificate of another authority: the client's own, which is no authority at all."""
        profile = self.product.directory / "galaxy0.ovpn"
        text = profile.read_text()
        certificate = re.search(r"<cert>\n(.*?)</cert>", text, re.S)
        assert certificate is not None
        self.edit("galaxy0.ovpn", r"(?s)<ca>\n.*?</ca>", f"<ca>\n{certificate.group(1)}</ca>")
        self.assert_fails("galaxy0", "tunnel")
        self.assert_closed("galaxy0")
        self.product.destroy_all()
        self.assert_unchanged()

    def test_dead_wireguard_peer(self) -> None:
        name = Path(self.facts["wireguard"]["peers"][1]["profile"]).name
        self.edit(name, r"(?m)^(Endpoint = [^:]+):\d+", rf"\1:{NOBODY}")
        self.assert_fails("galaxy1", "tunnel is pending", options=("--timeout", "3"))
        self.assert_closed("galaxy1")
        self.product.destroy_all()
        self.assert_fails("galaxy1", "tunnel: no handshake")
        self.assert_closed("galaxy1")
        self.product.destroy_all()
        self.assert_unchanged()

    def test_profile_that_runs_programs(self) -> None:
        """Refused before anything is made, by file and line."""
        self.edit("galaxy0.ovpn", r"\A", "up /bin/true\n")
        said = self.assert_fails("galaxy0.ovpn:1:", "up", code=3)
        self.assertNotIn("Traceback", said)
        self.assert_unchanged()

    def test_no_dhcp_server(self) -> None:
        server = next(p for p in self.lab.ledger.processes() if p.name == "dns-isp")
        isp = self.facts["nics"][0]["wire"]["netns"]
        rules = "table ip t { chain i { type filter hook input priority 0; udp dport 67 drop; }; }"
        linux.run(["nft", "-f", "-"], isp, rules)
        self.addCleanup(linux.run, ["nft", "delete", "table", "ip", "t"], isp)
        self.assertTrue(server.alive)
        self.assert_fails("universe0", "address")
        self.product.destroy_all()
        self.assert_unchanged()

    def test_no_carrier(self) -> None:
        wire = self.facts["nics"][0]["wire"]
        linux.ip_batch(wire["netns"], [f"link set {wire['interface']} down"])
        # As wires.plug_in does it: the address stays, the route comes back with the link.
        self.addCleanup(linux.ip_batch, wire["netns"], [f"link set {wire['interface']} up"])
        self.assert_fails("universe0", "carrier", options=("--timeout", "4"))
        self.product.destroy_all()
        self.assert_unchanged()

    def test_no_such_nic(self) -> None:
        self.edit("network0.toml", self.facts["nics"][0]["mac"], "52:54:00:00:00:99")
        self.assert_fails("universe0", "52:54:00:00:00:99")
        self.product.destroy_all()
        self.assert_unchanged()

    # --- killed on its way --------------------------------------------------------------------------

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        argv = [str(self.product.routerctl), *arguments]
        null = subprocess.DEVNULL
        return linux.in_netns(
            self.host, lambda: subprocess.Popen(argv, stdout=null, stderr=null, cwd=self.product.directory)
        )

    def test_kill_of_spawn(self) -> None:
        for number in range(24):
            after = 0.002 * 1.22**number  # to 0.2 s
            with self.subTest(killed_after=f"{after:.3f} s"):
                spawn = self.start("spawn", "network0.toml")
                time.sleep(after)  # any moment will do: each is another state to clean up
                spawn.kill()
                spawn.wait()
                self.product.destroy_all()
                self.assert_unchanged()

    def test_spawn_killed_before_it_wrote_anything_down(self) -> None:
        os.makedirs("/run/orrery/network0/universe0")
        self.product.destroy_all()
        self.assert_unchanged()

    def test_kill_of_destroy(self) -> None:
        for number in range(8):
            after = 0.004 * 1.4**number
            with self.subTest(killed_after=f"{after:.3f} s"):
                self.product.must("spawn", "network0.toml")
                destroy = self.start("destroy", "--all")
                time.sleep(after)  # any moment will do
                destroy.kill()
                destroy.wait()
                self.product.destroy_all()
                self.assert_unchanged()

    def test_spawn_after_a_killed_spawn(self) -> None:
        for after in (0.01, 0.03, 0.08):
            spawn = self.start("spawn", "network0.toml")
            time.sleep(after)  # any moment will do
            spawn.kill()
            spawn.wait()
        self.product.must("spawn", "network0.toml")
        self.product.fetch("galaxy0", "http://page.lab/")
        self.product.destroy_all()
        self.assert_unchanged()


if __name__ == "__main__":
    unittest.main(verbosity=2)
