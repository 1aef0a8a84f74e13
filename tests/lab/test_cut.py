"""An egress is lost: whoever had a connection open by it is told at once, by a reset, and before there is another way
out. What was begun by one egress is not carried on by the next.

The egress is held back meanwhile, by stopping its server or our supervisor, so that no reset can come from elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import unittest
from pathlib import Path
from typing import Any, Iterator

from lab import conntrack, linux, plan, wireguard, wires
from lab.capture import TCP, Capture
from lab.client import Client
from lab.held import Held
from lab.isp import Isp, Offer
from lab.silence import silenced
from support import ProductTest

TOLD_WITHIN = 20.0  # seconds: an end, not a judgement; where nobody is told it is minutes
HEALS_WITHIN = 60.0
NOTICES_WITHIN = 90.0  # of a WireGuard peer: 25 s without an answer, and 5 until that is looked at
_DEAF = """
table ip deaf {
  chain i {
    type filter hook input priority 0
    tcp flags & rst == rst drop
    icmp type destination-unreachable drop
  }
}
"""


class CutTest(ProductTest):
    _numbers = itertools.count()

    def held(self, router: str, what: str = "") -> Held:
        """A connection by that router, all of whose bytes so far the server has."""
        self.product.wait_ready(router, HEALS_WITHIN)
        client, _ = self.client(f"held{what}-{router}", router)
        return self.held_by(client)

    def held_by(self, client: Client) -> Held:
        held = Held(client, self.facts["http"]["address"])
        self.addCleanup(held.__exit__)
        linux.wait_until("the server's acknowledgement", held.acknowledged)
        return held

    def assert_cut(self, router: str, held: Held, timeout: float = TOLD_WITHIN) -> None:
        held.wait_for_reset(timeout)
        self.assert_forgotten(router, held)

    def assert_all_cut(self, router: str, *all_held: Held) -> None:
        """The first by writing to it, the others by listening alone."""
        self.assert_cut(router, all_held[0])
        for held in all_held[1:]:
            held.hear_reset(TOLD_WITHIN)

    def assert_forgotten(self, router: str, held: Held) -> None:
        """By connection tracking, which is told a moment after the way out is shut."""
        left = lambda: [  # noqa: E731
            flow for flow in conntrack.flows(f"network0.{router}") if held.port in (flow.source_port, flow.destination_port)
        ]
        linux.wait_until(f"{router} forgets the flow", lambda: not left())

    def assert_no_way_out(self, router: str) -> None:
        """New connections are refused at once, not kept waiting."""
        client, _ = self.client(f"fresh{next(self._numbers)}-{router}", router)
        with self.assertRaises((ConnectionRefusedError, ConnectionResetError)):
            Held(client, self.facts["http"]["address"])

    def assert_healed(self, router: str) -> None:
        self.product.wait_ready(router, HEALS_WITHIN)
        client, _ = self.client(f"after{next(self._numbers)}-{router}", router)
        self.assert_fetches(router, client, f"http://{self.facts['http']['address']}/", tries=3)

    def phase(self, router: str) -> str:
        return str(self.status(router)["phase"])

    def status(self, router: str) -> dict[str, Any]:
        """`status` fails where the router is not ready."""
        state: dict[str, Any] = json.loads(self.product.ctl("--json", "status", router).stdout)
        return state

    def wait_told(self, router: str, why: str, name: str = "flows-cut") -> None:
        """By the router's events, a moment after its clients."""
        log = Path(f"/run/orrery/network0/{router}/log/events")
        told = lambda: [e for line in log.read_text().splitlines() if (e := json.loads(line))["event"] == name]  # noqa: E731
        linux.wait_until(f"event: {why}", lambda: why in [event["fields"]["why"] for event in told()])

    def kill(self, router: str, service: str) -> None:
        os.kill(self.product.processes()[f"{router}/{service}"], signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Cut(CutTest):
    spawned = ("network0.toml",)

    # --- openvpn ------------------------------------------------------------------------------------

    def test_openvpn_dies(self) -> None:
        held, listening = self.held("galaxy0"), self.held("galaxy0", "-listening")
        with silenced(self.lab.ledger, "openvpn-udp"):
            self.kill("galaxy0", "openvpn")
            self.assert_all_cut("galaxy0", held, listening)
            self.assertNotEqual(self.phase("galaxy0"), "ready")
            self.assert_no_way_out("galaxy0")
        self.assert_healed("galaxy0")
        self.wait_told("galaxy0", "openvpn ended")

    def test_openvpn_connects_anew(self) -> None:
        held, listening = self.held("galaxy0"), self.held("galaxy0", "-listening")
        with silenced(self.lab.ledger, "openvpn-udp"):
            self.product.request("galaxy0", "egress")
            self.assert_all_cut("galaxy0", held, listening)
            self.assertNotEqual(self.phase("galaxy0"), "ready")
        self.assert_healed("galaxy0")

    def test_the_router_upstream_cuts_it_off(self) -> None:
        """The VPN's own connection would have survived: its clients' are cut all the same, and may begin anew."""
        held = self.held("galaxy0")
        port = ["ip", "link", "set", "galaxy0"]
        linux.run([*port, "down"], "network0.universe0")
        self.assert_cut("galaxy0", held)
        self.assert_no_way_out("galaxy0")
        linux.run([*port, "up"], "network0.universe0")
        self.assert_healed("galaxy0")

    # --- old flows and a new tunnel -----------------------------------------------------------------

    def test_a_new_tunnel_carries_nothing_of_an_old_flow(self) -> None:
        """A client that hears no reset goes on sending. Its segments meet the rule for what nobody knows, and only
        without that rule does the capture beyond the tunnel see them."""
        client, _ = self.client("deaf", "galaxy0")
        held = self.held_by(client)
        linux.run(["nft", "-f", "-"], client.netns, _DEAF)
        seen = lambda: [f for f in capture.frames if f.protocol == TCP and held.mark in f.data]  # noqa: E731
        with silenced(self.lab.ledger, "openvpn-udp"):
            self.product.request("galaxy0", "egress")
            linux.wait_until("flows cut", lambda: self.phase("galaxy0") != "ready")
            self.assert_forgotten("galaxy0", held)
            capture = Capture(plan.NET, "openvpn")
            capture.start()
            self.addCleanup(capture._finish)
            held.write()
        self.product.wait_ready("galaxy0", HEALS_WITHIN)
        before = refused("network0.galaxy0")
        linux.wait_until("segments of the old flow", lambda: held.write() is None and refused("network0.galaxy0") > before)
        self.assertEqual(seen(), [])
        forget_rule("network0.galaxy0")
        self.addCleanup(self.product.must, "restart", "galaxy0")
        linux.wait_until("the old flow beyond the new tunnel", seen)

    # --- WireGuard ----------------------------------------------------------------------------------

    def test_wireguard_peer_vanishes_and_comes_back(self) -> None:
        self.product.must("restart", "galaxy1")  # after a rest it would take longer
        held = self.held("galaxy1", "-w")
        with silenced(self.lab.ledger, "wireguard"):
            self.assert_cut("galaxy1", held, NOTICES_WITHIN)
            self.wait_told("galaxy1", "the peer has gone silent")
            self.assert_no_way_out("galaxy1")
            # What carries it dies as well, and begins anew without an answer.
            for service in wireguard.services():
                self.kill("galaxy1", service)
                self.assert_no_way_out("galaxy1")
        self.assert_healed("galaxy1")

    if not wireguard.in_kernel():  # whose WireGuard does not die

        def test_wireguard_dies(self) -> None:
            held, listening = self.held("galaxy1"), self.held("galaxy1", "-listening")
            with silenced(self.lab.ledger, "wireguard"):
                self.kill("galaxy1", "wireguard-go")
                self.assert_all_cut("galaxy1", held, listening)
                self.assert_no_way_out("galaxy1")
            self.assert_healed("galaxy1")

    # --- a tunnel's device --------------------------------------------------------------------------

    def test_a_tunnels_device_is_taken_away(self) -> None:
        """By root's own hand. Each driver makes another; meanwhile there is no way out."""
        deleted, down = "the tunnel's device was deleted", "the tunnel's device was set down"
        for router, device, server in (("galaxy0", "tun0", "openvpn-udp"), ("galaxy1", "wg0", "wireguard")):
            for why, act in ((deleted, ["del", device]), (down, ["set", device, "down"])):
                with self.subTest(router=router, why=why):
                    held = self.held(router, f"-{device}-{act[0]}")
                    with silenced(self.lab.ledger, server):
                        linux.run(["ip", "link", *act], f"network0.{router}")
                        self.assert_cut(router, held)
                        self.wait_told(router, why, "tunnel-device-lost")
                        self.assertNotEqual(self.phase(router), "ready")
                        self.assert_no_way_out(router)
                    self.assert_healed(router)

    # --- SOCKS5 -------------------------------------------------------------------------------------

    def test_tproxy_dies(self) -> None:
        held = self.held("galaxy2")
        with self.stopped(self.product.processes()["galaxy2/supervisor"]):
            self.kill_known("galaxy2", "tproxy")
            held.wait_for_reset(TOLD_WITHIN)
        self.assert_healed("galaxy2")
        self.assert_forgotten("galaxy2", held)

    def kill_known(self, router: str, service: str) -> None:
        """Without asking the supervisor."""
        state = json.loads(Path(f"/run/orrery/network0/{router}/state.json").read_text())
        os.kill(next(s["pid"] for s in state["services"] if s["name"] == service), signal.SIGKILL)

    def test_the_uplink_of_a_proxied_router_goes(self) -> None:
        held, listening = self.held("galaxy2"), self.held("galaxy2", "-listening")
        port = ["ip", "link", "set", "galaxy2"]
        linux.run([*port, "down"], "network0.universe0")
        self.assert_all_cut("galaxy2", held, listening)
        linux.run([*port, "up"], "network0.universe0")
        self.assert_healed("galaxy2")

    # --- a NIC --------------------------------------------------------------------------------------

    def test_the_cable_is_pulled(self) -> None:
        near, far = self.held("universe0"), self.held("galaxy3")
        listening = self.held("universe0", "-listening")
        wire = ["ip", "link", "set", self.facts["nics"][0]["wire"]["interface"]]
        linux.run([*wire, "down"], plan.ISP)
        self.assert_all_cut("universe0", near, listening)
        far.wait_for_reset(TOLD_WITHIN)  # galaxy3 has lost nothing: the reset comes to it as the server's would
        self.assert_no_way_out("universe0")
        linux.run([*wire, "up"], plan.ISP)
        self.assert_healed("universe0")

    def test_the_kernel_forgets_before_the_supervisor_looks(self) -> None:
        """As it does with all that was masqueraded behind a device that goes. Who only listens is told all the same."""
        held, listening = self.held("universe0"), self.held("universe0", "-listening")
        self.addCleanup(self.lab.replug)
        with self.stopped(self.product.processes()["universe0/supervisor"]):
            wires.unplug(plan.NICS[0])
            for each in (held, listening):
                self.assert_forgotten("universe0", each)
        self.assert_all_cut("universe0", held, listening)
        self.assert_no_way_out("universe0")
        wires.plug_in(plan.NICS[0])
        self.assert_healed("universe0")

    def test_the_lease_is_another(self) -> None:
        nic = plan.NICS[0]
        with Isp() as isp:
            held, listening = self.held("universe0"), self.held("universe0", "-listening")
            with Capture(plan.ISP, nic.wire) as capture:
                isp.offers[nic.mac] = Offer(nic.lease.rpartition(".")[0] + ".77")
                self.product.request("universe0", "egress")
                self.assert_all_cut("universe0", held, listening)
                self.product.wait_ready("universe0", HEALS_WITHIN)
                self.held("universe0", "-new")  # the capture sees the new address
            new = [f for f in capture.frames if f.source == isp.offers[nic.mac].address and held.mark in f.data]
            self.assertNotEqual(new, [])
            isp.offers[nic.mac] = Offer(nic.lease)
            self.product.request("universe0", "egress")
            linux.wait_until("the old lease", lambda: self.address("universe0") == nic.lease, HEALS_WITHIN)
        self.assert_healed("universe0")

    def address(self, router: str) -> str:
        return str(self.status(router)["egress"].get("tunnelAddress", "")).partition("/")[0]


def refused(netns: str) -> int:
    """Packets of flows that nobody knows."""
    rules = linux.run(["nft", "list", "chain", "ip", "orrery", "forward"], netns)
    return sum(int(n) for n in re.findall(r'counter packets (\d+) .*comment "lost-flow"', rules))


def forget_rule(netns: str) -> None:
    rules = linux.run(["nft", "-a", "list", "chain", "ip", "orrery", "forward"], netns)
    handles = re.findall(r'comment "lost-flow" # handle (\d+)', rules)
    for handle in handles:
        linux.run(["nft", "delete", "rule", "ip", "orrery", "forward", "handle", handle], netns)


if __name__ == "__main__":
    unittest.main()
