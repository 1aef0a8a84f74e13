"""`routerctl verify --audit`, which goes on while the router changes: no false alarm by a change, what leaks afterwards
is told, and so is what somebody hangs on a link."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
import unittest
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from lab import linux, plan
from lab.chorus import ipv4, udp
from lab.client import Client
from lab.definitions import NETWORK, UNIVERSE_LAN
from lab.isp import Isp, Offer
from support import ProductTest

HEALS_WITHIN = 30
_BPF = 321  # bpf(2) on x86-64
_LOAD, _LINK = 5, 28  # its commands
_SCHED_CLS, _XDP = 3, 6  # types of programs
TCX_INGRESS, XDP = 46, 37  # where they are attached (enum bpf_attach_type)
_GENERIC = 2  # XDP_FLAGS_SKB_MODE
_NEXT, _PASS = -1, 2  # TCX_NEXT, XDP_PASS


def _bpf(command: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    memory = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    fd = libc.syscall(_BPF, command, memory, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return int(fd)


def _program(kind: int, result: int) -> int:
    """r0 = result, exit."""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, result, 0x95, 0, 0, 0), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    return _bpf(_LOAD, struct.pack("IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence)))


def attach_program(netns: str, link: str, hook: int) -> int:
    """It is there for as long as the descriptor is open."""

    def attach() -> int:
        kind, result = (_XDP, _PASS) if hook == XDP else (_SCHED_CLS, _NEXT)
        program = _program(kind, result)
        try:
            flags = _GENERIC if hook == XDP else 0
            return _bpf(_LINK, struct.pack("IIII", program, socket.if_nametoindex(link), hook, flags))
        finally:
            os.close(program)

    return linux.in_netns(netns, attach)


class Auditor:
    """A running `verify --audit`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None and process.stderr is not None
        self._out, self._words = process.stdout, process.stderr
        self._pending = b""  # read, and not yet taken: select(2) would not see it

    def says_something(self, within: float = 0.0) -> bool:
        return b"\n" in self._pending or bool(select.select([self._out], [], [], within)[0])

    def next(self) -> Any:
        while b"\n" not in self._pending:
            if not self.says_something(HEALS_WITHIN):
                raise AssertionError("it says nothing")
            got = os.read(self._out.fileno(), 65536)
            if not got:
                raise AssertionError("it has ended")
            self._pending += got
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def sentence(self) -> str:
        return self._words.readline()


class Audit(ProductTest):
    spawned = ("network0.toml",)

    @contextmanager
    def auditor(self, router: str) -> Iterator[Auditor]:
        argv = [str(self.product.routerctl), "verify", router, "--audit"]
        start = lambda: subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: E731
        process = linux.in_netns(self.facts["host"]["netns"], start)
        with process:
            try:
                auditor = Auditor(process)
                self.assertIn("watching", auditor.sentence())
                yield auditor
                self.assertIsNone(process.poll(), "it goes on")
            finally:
                process.kill()

    def spoil(self, router: str) -> None:
        self.addCleanup(self.product.must, "spawn", "network0.toml")
        self.addCleanup(self.product.must, "destroy", router)

    def told(self, auditor: Auditor, leak: Callable[[], object]) -> Any:
        """Again and again until it is told: what was in force before excuses for a while."""

        def tried() -> bool:
            leak()
            return auditor.says_something()

        linux.wait_until("the violation", tried, HEALS_WITHIN, every=0.1)
        return auditor.next()

    def echo(self, client: Client) -> bool:
        return client.udp_echo(b"hello", self.facts["echo"]["address"], self.facts["echo"]["port"], 0.3)

    # --- what the router itself changes ---------------------------------------------------------------

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

    def test_a_restart(self) -> None:
        """The tunnel's device and address are made anew."""
        self.spoil("galaxy0")
        client, _ = self.client("steady", "galaxy0")
        with self.auditor("galaxy0") as auditor:
            self.assert_fetches("galaxy0", client)
            self.product.must("restart", "galaxy0")
            self.assert_fetches("galaxy0", client, tries=5)
            self.a_way_past()
            violation = self.told(auditor, lambda: self.echo(client))
        self.assertEqual(violation["event"], "violation")
        self.assertIn("leak", violation["link"], "the first that is told is the way that was made on purpose")

    def test_another_lease_of_the_router(self) -> None:
        """Frames from its new address are right from the first one; those from its old one are wrong, a while later."""
        nic = plan.NICS[0]
        other = nic.lease.rpartition(".")[0] + ".77"
        client, _ = self.client("leased", "universe0")
        with Isp() as isp, self.auditor("universe0") as auditor:
            self.assertTrue(self.echo(client))
            for address in (other, nic.lease):
                isp.offers[nic.mac] = Offer(address)
                self.product.request("universe0", "egress")
                linux.wait_until(f"the lease of {address}", lambda: self.lease() == address, HEALS_WITHIN)
                linux.wait_until("the echo", lambda: self.echo(client), HEALS_WITHIN, every=0.1)
                self.assertFalse(auditor.says_something(), "of what is allowed")
            wrong = self.told(auditor, lambda: self.send_as(other))
            self.assertEqual((wrong["event"], wrong["violation"]["breach"]), ("violation", "source"))
            self.assertIn(other, wrong["violation"]["first"])

    def lease(self) -> str:
        state = json.loads(self.product.ctl("--json", "status", "universe0").stdout)
        return str(state["egress"].get("tunnelAddress", "")).partition("/")[0]

    def send_as(self, source: str) -> None:
        """By the NIC of the universe, past its rules."""
        netns = f"{NETWORK}.universe0"
        with linux.socket_in(netns, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("ens1", 0))
            own = sock.getsockname()[4]
            sock.send(b"\x02\0\0\0\0\x01" + own + b"\x08\0" + ipv4(source, plan.HTTP, 17, udp(40001, 9, b"leak")))

    def test_another_address_of_a_client(self) -> None:
        """It goes, and comes back with another one: no alarm, and what it then sends past the rules is told as its."""
        self.spoil("galaxy3")
        with self.auditor("galaxy3") as auditor:
            for address in ("10.1.4.201", "10.1.4.202"):
                client, attached = self.client("mover" + address[-1], "galaxy3", "--address", address)
                self.assertEqual(attached["address"], address)
                linux.wait_until("the echo", lambda: self.echo(client), HEALS_WITHIN)
                if address.endswith("1"):
                    self.product.must("detach", "galaxy3", attached["port"])
            self.assertFalse(auditor.says_something(), "of what is allowed")
            linux.run(["nft", "delete", "table", "ip", "orrery"], f"{NETWORK}.galaxy3")
            wrong = self.told(auditor, lambda: self.echo(client))
            self.assertEqual(wrong["violation"]["breach"], "source")
            self.assertIn("10.1.4.202", wrong["violation"]["first"])

    # --- what others hang on links --------------------------------------------------------------------

    def hang(self, auditor: Auditor, words: str, netns: str) -> None:
        event = auditor.next()
        self.assertEqual(event["event"], "attached", event)
        self.assertEqual(event["finding"], f"{netns}: {words}")

    def test_what_hangs_on_links(self) -> None:
        self.spoil("galaxy0")
        lan, egress = f"{NETWORK}.galaxy0", f"{NETWORK}.galaxy0.egress"
        client, _ = self.client("hung", "galaxy0")
        with self.auditor("galaxy0") as auditor:
            linux.run(["tc", "qdisc", "add", "dev", "uplink", "clsact"], egress)
            self.hang(auditor, "link 'uplink' has a queueing discipline 'clsact'", egress)
            place = "filter add dev uplink egress protocol all prio 7 bpf bytecode"
            linux.run(["tc", *place.split(), "1,6 0 0 0"], egress)
            self.hang(auditor, "link 'uplink' has a tc filter 'bpf'", egress)
            xdp = attach_program(egress, "uplink", XDP)
            self.addCleanup(os.close, xdp)
            self.hang(auditor, "link 'uplink' has a BPF program at XDP", egress)
            self.assert_fetches("galaxy0", client)
            self.assertFalse(auditor.says_something(2.5), "each is told once")

    def test_a_program_by_tcx(self) -> None:
        """Linux 6.6: the kernel tells nobody of it. Gone and there again, it is told again."""
        lan = f"{NETWORK}.galaxy3"
        version = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
        with self.auditor("galaxy3") as auditor:
            if version < (6, 6):
                with self.assertRaises(OSError, msg="a kernel has TCX, or nobody can attach by it"):
                    attach_program(lan, "uplink", TCX_INGRESS)
                return
            for link in ("galaxy3", "uplink", "uplink"):
                program = attach_program(lan, link, TCX_INGRESS)
                self.hang(auditor, f"link '{link}' has a BPF program at tcx ingress", lan)
                os.close(program)
                gone = time.monotonic() + 2.5  # it looks every second, and says nothing when something has gone
                self.assertFalse(auditor.says_something(gone - time.monotonic()))

    # --- what nobody could judge ----------------------------------------------------------------------

    def test_frames_that_the_kernel_could_not_keep(self) -> None:
        """Told while it goes on, as an event and a sentence; what comes after is judged."""
        client, _ = self.client("flood", "galaxy3")
        with self.auditor("galaxy3") as auditor:
            pid = self.auditor_process()
            os.kill(pid, signal.SIGSTOP)  # nobody empties the ring
            self.flood()
            os.kill(pid, signal.SIGCONT)
            event = auditor.next()
            self.assertEqual((event["event"], event["link"]), ("lost", "uplink"))
            self.assertGreater(event["frames"], 0)
            self.assertRegex(auditor.sentence(), r"the uplink may: the kernel lost \d+ frames")
            self.assertTrue(self.echo(client))

    def auditor_process(self) -> int:
        found = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _comm(pid) == "orrery-auditor"]
        self.assertEqual(len(found), 1)
        return found[0]

    def flood(self) -> None:
        """More frames than a ring has room for (16384), from the router's own address to nobody's MAC."""
        netns = f"{NETWORK}.galaxy3"
        source = linux.run(["ip", "-4", "-o", "addr", "show", "dev", "uplink"], netns).split()[3].partition("/")[0]
        with linux.socket_in(netns, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("uplink", 0))
            frame = b"\x02\0\0\0\0\x01" + sock.getsockname()[4] + b"\x08\0"
            frame += ipv4(source, plan.HTTP, 17, udp(40001, 9, b"flood"))
            for _ in range(20000):
                sock.send(frame)


def _comm(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:  # it has ended
        return ""


if __name__ == "__main__":
    unittest.main(verbosity=2)
