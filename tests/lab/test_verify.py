"""What `routerctl verify` sees beside links, addresses, routes and rules, each made by hand on a live router; and
`verify --audit`, which goes on while the router changes."""

from __future__ import annotations

import json
import select
import subprocess
import unittest

from lab import linux
from lab.client import Client
from lab.definitions import NETWORK, UNIVERSE_LAN
from support import ProductTest

LEAK = 6  # routerctl's exit code
PACKET_SOCKET = """
import socket, time
held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
print("open", flush=True)
time.sleep(600)  # it is there to be found, until it is killed
"""


class Verify(ProductTest):
    spawned = ("network0.toml",)

    def setUp(self) -> None:
        self.addCleanup(self.product.must, "spawn", "network0.toml")
        self.addCleanup(self.product.must, "destroy", "galaxy0")

    def hold(self, netns: str) -> None:
        argv = ["nsenter", f"--net=/run/netns/{netns}", "python3", "-c", PACKET_SOCKET]
        holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        assert holder.stdout is not None
        self.addCleanup(holder.stdout.close)
        self.assertEqual(holder.stdout.readline(), b"open\n")

    def test_what_hangs_on_links(self) -> None:
        lan, egress = f"{NETWORK}.galaxy0", f"{NETWORK}.galaxy0.egress"
        client, attached = self.client("owner", "galaxy0")
        self.assert_fetches("galaxy0", client)
        clean = json.loads(self.product.must("--json", "verify", "galaxy0", "--structure"))
        self.assertEqual(clean["findings"], [])
        port = "c" + "".join(f"{int(octet):02x}" for octet in attached["address"].split("."))
        mac = "02:00:00:00:00:66"
        linux.run(["tc", "qdisc", "add", "dev", "uplink", "clsact"], egress)
        linux.run(["nft", "add", "element", "bridge", "orrery", "ports", f"{{ {port} . {mac} }}"], lan)
        linux.run(["bridge", "fdb", "add", mac, "dev", port, "master", "static"], lan)
        linux.ip_batch(lan, ["neigh add proxy 10.1.1.77 dev galaxy0", "rule add priority 50 from 10.1.1.0/24 table 99"])
        linux.write_sysctls(egress, {"ipv4/conf/uplink/accept_source_route": "1"})
        self.hold(egress)
        done = self.product.ctl("--json", "verify", "galaxy0", "--structure")
        self.assertEqual(done.returncode, LEAK, done.stdout + done.stderr)
        findings = json.loads(done.stdout)["findings"]
        for words in (
            "link 'uplink' has a queueing discipline 'clsact'",
            f"the guard's set 'ports' lets '{port}', {mac} in",
            f"the bridge looks for {mac} behind '{port}'",
            "it answers for 10.1.1.77 on 'galaxy0'",
            "rule 50 (mark 0x0, table 99, with other conditions",
            "conf/uplink/accept_source_route is 1, not 0",
            "there is a packet socket, of 'python3",
        ):
            with self.subTest(words=words):
                self.assertTrue(any(words in each for each in findings), findings)

    def a_way_past(self) -> None:
        lan, upstream = f"{NETWORK}.galaxy0", f"{NETWORK}.universe0"
        linux.run(["nft", "delete", "table", "ip", "orrery"], lan)
        linux.ip_batch(lan, [f"link add leak type veth peer name leak netns {upstream}", "link set leak up"])
        linux.ip_batch(upstream, ["link set leak master universe0 up"])
        up = lambda: "LOWER_UP" in linux.run(["ip", "link", "show", "dev", "leak"], lan)  # noqa: E731
        linux.wait_until("the link", up)
        gateway = f"{UNIVERSE_LAN}.1"
        linux.ip_batch(
            lan,
            [
                f"address add {UNIVERSE_LAN}.200/24 dev leak",
                f"neigh replace {gateway} lladdr 02:00:00:00:00:01 dev leak nud permanent",
                f"route replace default via {gateway} dev leak",
            ],
        )

    def leaks(self, client: Client, auditor: subprocess.Popen[str]) -> bool:
        client.udp_echo(b"leak", self.facts["echo"]["address"], self.facts["echo"]["port"], 0.1)
        return bool(select.select([auditor.stdout], [], [], 0)[0])

    def test_audit_goes_on_through_a_restart(self) -> None:
        """The tunnel's device and address are made anew: no false alarm, and what leaks afterwards is told."""
        client, _ = self.client("steady", "galaxy0")
        argv = [str(self.product.routerctl), "verify", "galaxy0", "--audit"]
        start = lambda: subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: E731
        auditor = linux.in_netns(self.facts["host"]["netns"], start)
        with auditor:
            try:
                assert auditor.stderr is not None and auditor.stdout is not None
                self.assertIn("watching", auditor.stderr.readline())
                self.assert_fetches("galaxy0", client)
                self.product.must("restart", "galaxy0")
                self.assert_fetches("galaxy0", client, tries=5)
                self.a_way_past()
                # Until it is told: a link that was made by hand is watched from some moment on.
                linux.wait_until("the violation", lambda: self.leaks(client, auditor), 30, every=0.1)
                told = json.loads(auditor.stdout.readline())
            finally:
                auditor.kill()
        self.assertEqual(told["event"], "violation")
        self.assertIn("leak", told["link"], "the first that is told is the way that was made on purpose")


if __name__ == "__main__":
    unittest.main(verbosity=2)
