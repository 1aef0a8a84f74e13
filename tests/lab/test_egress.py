"""A whole network of the product: a client behind each kind of egress gets a lease, names, pages and 100 MB,
and the servers see the right address."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import socket
import unittest
from typing import Callable

from lab import linux
from lab.client import Client, Lease
from lab.definitions import LAN_ADDRESSES, LEASE_SECONDS
from lab.held import Held
from lab.linux import LabError
from support import MEGABYTES_20, MEGABYTES_100, ProductTest, attempt

ROUTERS = tuple(LAN_ADDRESSES)
PROXIED = ("galaxy2", "star0")  # their tproxy answers DNS, with addresses that stand for names
TUNNELS = {"galaxy0": "dns-openvpn", "galaxy1": "dns-wireguard"}  # and the resolver inside each
NAMES = ipaddress.ip_network("10.192.0.0/10")


class Egress(ProductTest):
    with_tor = True
    spawned = ("network0.toml",)

    def each(self, check: Callable[[str], None]) -> None:
        for router in ROUTERS:
            with self.subTest(router=router):
                try:
                    check(router)
                finally:
                    self.doCleanups()

    # --- pages --------------------------------------------------------------------------------------

    def test_run_fetches_by_name_and_by_address(self) -> None:
        def check(router: str) -> None:
            for host in ("page.lab", self.facts["http"]["address"]):
                seen = attempt(lambda: self.product.fetch(router, f"http://{host}/run-{router}"), tries=2)
                last = self.lab.seen("http")[-1]
                self.assertIn(last["address"], self.exits(router))
                self.assertEqual(seen["address"], last["address"])
                self.assertEqual((last["path"], last["host"]), (f"/run-{router}", host))

        self.each(check)

    def test_onion_service(self) -> None:
        page = f"http://{self.facts['tor']['onion']}/"
        client, _ = self.client("onion", "star0")
        self.assertEqual(attempt(lambda: client.fetch(page, timeout=40), 3)["address"], self.facts["tor"]["onion_exit"])
        seen = attempt(lambda: self.product.fetch("star0", page, timeout=40), 3)
        self.assertEqual(seen["address"], self.facts["tor"]["onion_exit"])

    # --- stock DHCP clients -------------------------------------------------------------------------

    def assert_lease(self, router: str, lease: Lease, address: str) -> None:
        own = LAN_ADDRESSES[router]
        self.assertEqual((lease.prefix, lease.router, lease.server), (24, own, own))
        self.assertEqual((lease.dns, lease.seconds), ((own,), LEASE_SECONDS))
        self.assertEqual(lease.address, address)
        first, last = (2, 254) if router == "universe0" else (2, 253)
        self.assertIn(int(lease.address.rpartition(".")[2]), range(first, last + 1))
        self.assertEqual(lease.address.rpartition(".")[0], own.rpartition(".")[0])

    def check_stock_client(self, router: str, ask: Callable[[Client], Lease]) -> None:
        client, attached = self.client(f"dhcp-{router}", router, "--dhcp")
        client.resolv.write_text("")
        self.assert_lease(router, ask(client), attached["address"])
        self.assert_fetches(router, client, tries=2)
        self.assert_fetches(router, client, f"http://{self.facts['http']['address']}/", tries=2)

    def test_udhcpc(self) -> None:
        self.each(lambda router: self.check_stock_client(router, Client.udhcpc))

    def test_dhclient(self) -> None:
        self.each(lambda router: self.check_stock_client(router, Client.dhclient))

    # --- DNS ----------------------------------------------------------------------------------------

    def assert_answers(self, router: str, found: list[str]) -> None:
        if router in PROXIED:
            self.assertEqual(len(found), 1, found)
            self.assertIn(ipaddress.ip_address(found[0]), NAMES)
        else:
            self.assertEqual(found, [self.facts["http"]["address"]])

    def test_dns_of_the_router(self) -> None:
        def check(router: str) -> None:
            client, _ = self.client("dns", router)
            resolver = TUNNELS.get(router, "dns-isp")
            for tcp in (False, True):
                name = f"{'tcp' if tcp else 'udp'}-{router}.any.lab"
                self.assert_answers(router, client.dig(name, tcp=tcp))
                asked = [log for log in ("dns-isp", "dns-openvpn", "dns-wireguard") if self.was_asked(log, name)]
                self.assertEqual(asked, [] if router in PROXIED else [resolver])
                self.assert_fetches(router, client, f"http://{name}/", tries=2)
                self.assertEqual(self.lab.seen("http")[-1]["host"], name)
            if router not in PROXIED:
                self.assertEqual(client.dig("nothing.lab"), [])

        self.each(check)

    def was_asked(self, resolver: str, name: str) -> bool:
        return any(query.name == name for query in self.lab.queries(resolver))

    def test_dns_of_another_resolver(self) -> None:
        """A tunnel's and a proxy's clients are answered by the router whomever they ask: a resolver that
        they chose would see all of their names. Others reach it by the egress, as any server."""

        def check(router: str) -> None:
            client, _ = self.client("dns", router)
            server = self.facts["dns"]["address"]
            for tcp in (False, True):
                name = f"{'tcp' if tcp else 'udp'}-other-{router}.any.lab"
                self.assert_answers(router, client.dig(name, server=server, tcp=tcp))
                if router in TUNNELS:
                    self.assertTrue(self.was_asked(TUNNELS[router], name))
                elif router not in PROXIED:
                    clients = {q.client for q in self.lab.queries("dns-net") if q.name == name}
                    self.assertEqual(clients, set(self.exits(router)))
                else:
                    self.assertFalse(self.was_asked("dns-net", name))
            if router in PROXIED or router in TUNNELS:
                self.assert_answers(router, client.dig("page.lab", server="203.0.113.253"))  # nobody's
            else:
                with self.assertRaises(LabError):
                    client.dig("page.lab", server="203.0.113.253")

        self.each(check)

    # --- another exit -------------------------------------------------------------------------------

    def test_newnym_cuts_what_is_open_and_takes_another_circuit(self) -> None:
        client, _ = self.client("newnym", "star0")
        held = self.held_by_tor(client)
        (before,) = self.streams().values()
        self.product.request("star0", "newnym")
        held.hear_reset(20)
        linux.wait_until("tor has no stream", lambda: not self.streams())
        self.held_by_tor(client)
        (after,) = self.streams().values()
        self.assertNotEqual(after, before)

    def test_tor_dies(self) -> None:
        client, _ = self.client("held", "star0")
        held = self.held_by_tor(client)
        os.kill(self.product.processes()["star0/tor"], signal.SIGKILL)
        held.wait_for_reset(20)
        self.product.wait_ready("star0", 60)

    def held_by_tor(self, client: Client) -> Held:
        """A connection that the server has heard of: tproxy takes a client's before tor has its circuit."""
        held = attempt(lambda: Held(client, self.facts["http"]["address"]), tries=3)
        self.addCleanup(held.__exit__)
        linux.wait_until("tor's stream", self.streams)
        return held

    def streams(self) -> dict[str, str]:
        """Of tor's that have reached their server: to the circuit that each is on (control-spec, stream-status)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect("/run/orrery/network0/star0/tor/control/control")
            sock.sendall(b"AUTHENTICATE\r\nGETINFO stream-status\r\nQUIT\r\n")
            with sock.makefile("r") as lines:
                found = re.findall(r"^(?:250-stream-status=)?(\d+) SUCCEEDED (\d+) ", lines.read(), re.MULTILINE)
        return dict(found)

    # --- much ---------------------------------------------------------------------------------------

    def test_whole_file(self) -> None:
        def check(router: str) -> None:
            client, _ = self.client("much", router)
            count = MEGABYTES_20 if router == "star0" else MEGABYTES_100
            self.assert_whole(client, what=router, exits=self.exits(router), count=count)

        self.each(check)

    # --- what is not a connection -------------------------------------------------------------------

    def test_udp_and_ping(self) -> None:
        def check(router: str) -> None:
            client, _ = self.client("udp", router)
            echo = self.facts["echo"]
            passes = router not in PROXIED
            before = len(self.lab.seen("udp"))
            self.assertEqual(client.udp_echo(b"hello", echo["address"], echo["port"]), passes)
            self.assertEqual(client.pings(echo["address"]), passes)
            seen = [entry["address"] for entry in self.lab.seen("udp")[before:]]
            self.assertEqual(seen, self.exits(router) if passes else [])
            self.assertTrue(client.pings(LAN_ADDRESSES[router]))

        self.each(check)


if __name__ == "__main__":
    unittest.main(verbosity=2)
