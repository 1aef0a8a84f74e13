"""What `routerctl verify` sees beside links, addresses, routes and rules, each made by hand on a live router."""

from __future__ import annotations

import json
import re
import subprocess
import unittest

from lab import linux
from lab.definitions import NETWORK
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

    def test_what_no_router_forwards(self) -> None:
        """Link-local and its like (RFC 6890): that its rule is missing is told, and what gets out then."""
        self.addCleanup(self.product.must, "spawn", "network0.toml")
        self.addCleanup(self.product.must, "destroy", "galaxy3")
        clean = json.loads(self.product.must("--json", "verify", "galaxy3"))
        self.assertEqual(clean["findings"], [])
        lan = f"{NETWORK}.galaxy3"
        rules = linux.run(["nft", "-a", "list", "chain", "ip", "orrery", "forward"], lan)
        handles = re.findall(r'comment "never-forwarded" # handle (\d+)', rules)
        self.assertEqual(len(handles), 2)
        for handle in handles:
            linux.run(["nft", "delete", "rule", "ip", "orrery", "forward", "handle", handle], lan)
        done = self.product.ctl("--json", "verify", "galaxy3")
        self.assertEqual(done.returncode, LEAK, done.stdout + done.stderr)
        findings = json.loads(done.stdout)["findings"]
        self.assertTrue(any("the ruleset is not the router's" in each for each in findings), findings)
        leaked = [each for each in findings if "sent by the probe 'local and reserved addresses" in each]
        self.assertTrue(any("> 169.254." in each for each in leaked), findings)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
