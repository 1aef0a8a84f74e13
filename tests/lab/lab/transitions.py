"""Everything that can happen to a router, while its clients never stop sending.

A transition is one router going through one change, and ends when the router says that it is ready again. Each
is made by a function of `Transitions` and noted with what left the router meanwhile (lab/notes.py).
Those of several routers at once (a suspended host, a network that goes, a hundred spawns) are noted once for
each router. `control_*` make a way past a router on purpose; what the watch then sees is noted apart.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional

from . import fleet, linux, plan, ways_past, wires
from .capture import Frame
from .chorus import Chorus
from .client import Client
from .definitions import UNIVERSE_LAN
from .fleet import OURS, SERVICES, Fleet, Router
from .internet import Internet
from .isp import Isp
from .linux import LabError
from .notes import Note
from .product import Product
from .watch import Allowed, Watch

HEALS_WITHIN = 90.0  # seconds, on a loaded machine: an OpenVPN server's silence may be noticed after 30
_PAUSE = 0.05  # seconds of being stopped, down or unreachable: the transition itself, no wait for anything
_RUN = Path("/run/orrery")
_LOG_LIMIT = 4 << 20  # bytes of a server's log in the lab, before it is begun anew
MANY = "many.toml"
_ATTACHES_AT_ONCE = 4
_TRIES = 10
_ENDING = ("ended the connection", "its supervisor has ended")  # of a router upstream, while it is waited for


class Transitions:
    """Needs everything up; `start` spawns the fleet and gives each router a client that sends."""

    def __init__(self, lab: Internet, product: Product, crew: Fleet, watch: Watch, chorus: Chorus, isp: Isp) -> None:
        self._lab = lab
        self._product = product
        self.fleet = crew
        self._watch = watch
        self._chorus = chorus
        self._isp = isp
        self._allowed: dict[str, Allowed] = {}
        self._clients: dict[str, Client] = {}
        self._metric = itertools.count(10)
        self._lock = threading.Lock()
        self.notes: list[Note] = []

    # --- up and down --------------------------------------------------------------------------------

    def start(self) -> None:
        """What leaves while the fleet starts is noted as its first spawn."""
        self._watch.look_at(plan.ISP)
        for router in self.fleet.of("universe"):
            self._allowed[router.key] = self._watch.add(router, self._wire(router))
        for router in self.fleet.routers:
            if router.form != "universe":
                self._allowed[router.key] = self._watch.add(router)
        for network in sorted({router.network for router in self.fleet.routers}):
            with self._noted(self.fleet.network(network), "spawn"):
                self._spawn_network(network)

    def close(self) -> None:
        for client in self._clients.values():
            self._chorus.remove(client.netns)
            client.close()

    def _spawn_network(self, network: str) -> None:
        """Top down, so that each upstream namespace is watched before anything is put into it."""
        routers = self.fleet.network(network)
        for forms, file in self.fleet.stages(network):
            self._product.must("spawn", "--no-wait", file)
            self._look_at_lans(routers, forms)
        self._connect(routers)
        for router in routers:
            self._ready(router)

    def _look_at_lans(self, routers: list[Router], forms: tuple[str, ...]) -> None:
        used = {router.upstream_netns for router in routers}
        for router in routers:
            if router.form in forms and router.key in used:
                self._watch.look_at(router.key)

    @staticmethod
    def _nic(router: Router) -> plan.Nic:
        return next(nic for nic in plan.NICS if nic.mac == router.mac)

    def _wire(self, router: Router) -> str:
        return self._nic(router).wire

    def _plug_in(self, router: Router) -> None:
        """Its NIC, if it is not at home."""
        nic = self._nic(router)
        if not wires.is_home(nic):
            wires.unplug(nic)
            wires.plug_in(nic)

    # --- clients ------------------------------------------------------------------------------------

    def _connect(self, routers: Iterable[Router]) -> None:
        """Their clients, as soon as a port can be had; they send at once."""
        with ThreadPoolExecutor(_ATTACHES_AT_ONCE) as pool:
            list(pool.map(self._connect_one, routers))

    def _connect_one(self, router: Router) -> None:
        with self._lock:
            client = self._clients.get(router.key)
            if client is None:
                client = self._clients[router.key] = Client(self._lab, f"c-{router.key}")
        # The port of a LAN that was destroyed goes with its namespace, which the kernel ends when it comes to it.
        linux.wait_until(f"{client.netns} without a link", lambda: not _has_link(client.netns), HEALS_WITHIN)
        attached = self._product.ask("attach", router.key, "--netns", client.netns)
        self._chorus.add(
            client.netns,
            mark=router.mark.decode(),
            address=attached["address"],
            gateway=router.gateway,
            router_mac=fleet.router_mac(int(router.network.removeprefix("network")), router.gateway),
            servers=[list(server) for server in sorted(router.servers)],
        )

    # --- notes --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _noted(self, routers: list[Router], kind: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        for router in routers:
            seen = self._watch.take(router)
            self.notes.append(Note(router.key, router.form, kind, seen.frames, seen.wrong, seconds))

    # --- one router ---------------------------------------------------------------------------------

    def kinds(self, router: Router) -> dict[str, Callable[[], None]]:
        """All changes of one router that disturb no other but those downstream; each leaves it ready."""
        r = router
        found: dict[str, Callable[[], None]] = {}
        for process in (*SERVICES[r.form], *OURS):
            found[f"kill {process}"] = lambda p=process: self._kill(r, p)  # type: ignore[misc]
            found[f"stop {process}"] = lambda p=process: self._stop(r, [p])  # type: ignore[misc]
        found["stop all of its processes"] = lambda: self._stop(r, [*SERVICES[r.form], *OURS])
        found["restart"] = lambda: self._restart(r)
        found["uplink down, up"] = lambda: self._uplink(r)
        found["nobody left, spawn"] = lambda: self._nobody(r)
        if r.form == "universe":
            found["lease lost"] = lambda: self._lease(r, r.address)
            found["lease changed"] = lambda: self._lease(r, r.address.rpartition(".")[0] + ".77")
            return found
        if r.servers:
            name = "tor without network" if r.form == "star" else "server gone, back"
            found[name] = lambda: self._server(r)
        if r.form == "star":
            found["newnym"] = lambda: self._newnym(r)
        if not self._downstream(r):  # whose definitions have it as it was
            for what, file in r.others.items():
                found[f"re-applied: {what}"] = lambda w=what, f=file: self._apply(r, w, f)  # type: ignore[misc]
            found["destroy, spawn"] = lambda: self._destroy(r)
            found["spawn cut off, spawn"] = lambda: self._cut_off(r)
        return found

    def once(self, router: Router, kind: str) -> None:
        work = self.kinds(router)[kind]
        if kind.startswith("re-applied") or kind in ("destroy, spawn", "spawn cut off, spawn", "lease changed"):
            work()  # notes its parts itself
        else:
            with self._noted([router], kind):
                work()

    def _downstream(self, router: Router) -> list[Router]:
        return [r for r in self.fleet.network(router.network) if r.upstream == router.name]

    def pids(self, router: Router) -> dict[str, int]:
        """As the router's own files have them: no supervisor is asked, for it may be stopped."""
        at = _RUN / router.network / router.name
        found = {}
        for process in OURS:
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[process] = int((at / "life" / f"{process}.pid").read_text().split()[0])
        with contextlib.suppress(OSError, ValueError):
            state = json.loads((at / "state.json").read_text())
            found.update({service["name"]: service["pid"] for service in state["services"] if service["pid"]})
        return found

    # What routerctl says of how it went is not judged here, for a server may be away: readiness is.
    def _ready(self, router: Router) -> None:
        self._product.wait_ready(router.name, HEALS_WITHIN, router.network)

    def _kill(self, router: Router, process: str) -> None:
        before = self.pids(router).get(process, 0)
        if not before:
            return self._ready(router)
        with contextlib.suppress(ProcessLookupError):
            os.kill(before, signal.SIGKILL)
        replaced = lambda: self.pids(router).get(process, before) != before  # noqa: E731
        linux.wait_until(f"another {router.key}/{process}", replaced, HEALS_WITHIN, every=0.02)
        self._ready(router)

    def _stop(self, router: Router, processes: Iterable[str]) -> None:
        pids = self.pids(router)
        self._pause([pids[process] for process in processes if process in pids])
        self._ready(router)

    @staticmethod
    def _pause(pids: list[int]) -> None:
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            time.sleep(_PAUSE)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _restart(self, router: Router) -> None:
        self._product.ctl("restart", router.key, timeout=HEALS_WITHIN)
        self._ready(router)

    def _uplink(self, router: Router) -> None:
        port = self._wire(router) if router.form == "universe" else router.name
        linux.ip_batch(router.upstream_netns, [f"link set {port} down"])
        time.sleep(_PAUSE)
        linux.ip_batch(router.upstream_netns, [f"link set {port} up"])
        wait_for_carrier(router.upstream_netns, port)
        self._ready(router)

    def _server(self, router: Router) -> None:
        """Its server is not reached for a moment: a route in the middle of the internet leads nowhere. Tor is
        started meanwhile: it finds no network."""
        metric = next(self._metric)
        routes = [f"blackhole {address}/32 metric {metric}" for _, address, _ in sorted(router.servers)]
        # A star's relays are reached by its VPN, whose far end is lab-openvpn.
        where = plan.OPENVPN if router.form == "star" else plan.ISP
        linux.ip_batch(where, [f"route add {route}" for route in routes])
        try:
            if router.form == "star":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pids(router)["tor"], signal.SIGKILL)
                time.sleep(10 * _PAUSE)
            time.sleep(_PAUSE)
        finally:
            linux.ip_batch(where, [f"route del {route}" for route in routes])
        self._ready(router)

    def _newnym(self, router: Router) -> None:
        """Other circuits, by the supervisor's own request for it."""
        self._product.request(router.name, "newnym", router.network)
        self._ready(router)

    def _nobody(self, router: Router) -> None:
        """Supervisor and keeper die at once; spawn brings them back."""
        pids = self.pids(router)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in OURS:
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.kill(pids[process], number)
        ours = [pids[process] for process in OURS if process in pids]
        gone = lambda: all(linux.start_time(pid) is None or linux.is_zombie(pid) for pid in ours)  # noqa: E731
        linux.wait_until("nobody is left", gone, HEALS_WITHIN, every=0.02)
        self._spawn(router)

    def _ask_to_spawn(self, router: Router, *options: str) -> subprocess.CompletedProcess[str]:
        """A supervisor upstream may be ending at this very moment: spawn says so, and is asked again."""
        for _ in range(_TRIES):
            done = self._product.ctl("spawn", *options, router.definition, timeout=HEALS_WITHIN)
            if done.returncode == 0 or not any(words in done.stderr for words in _ENDING):
                break
        return done

    def _spawn(self, router: Router) -> None:
        done = self._ask_to_spawn(router)
        try:
            self._ready(router)
        except LabError as error:
            raise LabError(f"{error}\nspawn had said: {done.stderr}") from None

    def _apply(self, router: Router, what: str, file: str) -> None:
        """Another definition, and back: two transitions. Both servers are allowed while it changes."""
        servers = set(router.servers)
        if what == "server moved":
            servers = self.fleet.server(router.form, moved=True)
        elif what == "other egress":
            servers = self.fleet.server(router.form, other=True)
        allowed = self._allowed[router.key]
        for definition, old, new in ((file, router.servers, servers), (router.definition, servers, router.servers)):
            allowed.set_servers(old | new)
            with self._noted([router], f"re-applied: {what}"):
                self._product.ctl("restart", "--definition", definition, router.key, timeout=HEALS_WITHIN)
                self._ready(router)
                # From here on nothing may go to where it was; what had left before is judged by then.
            allowed.set_servers(new)

    def _lease(self, router: Router, address: str) -> None:
        """The ISP refuses to renew, and says nothing more for a moment; then it gives an address, perhaps
        another. Changed leases are changed back: two transitions."""
        offer = self._isp.offers[router.mac]
        allowed = self._allowed[router.key]
        changed = address != router.address
        for new in (address, router.address) if changed else (address,):
            old = offer.address
            allowed.set_addresses({old, new})
            with contextlib.ExitStack() as stack:
                if changed:
                    stack.enter_context(self._noted([router], "lease changed"))
                offer.refuse = True
                self._renew(router)
                lost = lambda: self._leased(router) is None  # noqa: E731
                linux.wait_until(f"{router.key} to lose its lease", lost, HEALS_WITHIN)
                offer.address = new
                offer.refuse = False
                given = lambda: self._leased(router) == new  # noqa: B023, E731
                linux.wait_until(f"{router.key} to lease {new}", given, HEALS_WITHIN)
                self._ready(router)
            allowed.set_addresses({new})

    def _renew(self, router: Router) -> None:
        """By the DHCP client's own signal for it (udhcpc, SIGUSR1)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids(router)["udhcpc"], signal.SIGUSR1)

    def _leased(self, router: Router) -> Optional[str]:
        with contextlib.suppress(OSError, ValueError):
            state = json.loads((_RUN / router.network / router.name / "state.json").read_text())
            rungs = {rung["rung"]: rung["state"] for rung in state["ladder"]}
            given = state["egress"].get("tunnelAddress")
            return given.partition("/")[0] if given and rungs.get("address") == "ok" else None
        return None

    def _destroy(self, router: Router) -> None:
        """Its client's port goes with it; a client sends again from the moment that there is a LAN."""
        with self._noted([router], "destroy"):
            self._product.must("destroy", router.key, timeout=HEALS_WITHIN)
        with self._noted([router], "spawn"):
            self._ask_to_spawn(router, "--no-wait")
            self._connect_one(router)
            self._ready(router)

    def _cut_off(self, router: Router) -> None:
        with self._noted([router], "destroy"):
            self._product.must("destroy", router.key, timeout=HEALS_WITHIN)
        with self._noted([router], "spawn cut off, spawn"):
            with contextlib.suppress(Exception):  # killed: that is the point
                self._product.ctl("spawn", router.definition, timeout=0.03)
            done = self._ask_to_spawn(router)
            if not linux.pin_of(router.key).exists():
                raise LabError(f"spawn after one that was cut off: exit {done.returncode}\n{done.stdout}{done.stderr}")
            self._connect_one(router)
            self._ready(router)

    def repair(self, router: Router) -> None:
        """After an error: as it was at the start, if that can be had."""
        with self._noted([router], "repair"):
            self._ask_to_spawn(router)
            if not _has_link(self._clients[router.key].netns):
                self._connect_one(router)
            self._ready(router)

    # --- several at once: nothing else may go on in that network ---------------------------------------

    def suspend(self, network: str) -> None:
        """A host that sleeps: every process of the network is stopped."""
        routers = self.fleet.network(network)
        with self._noted(routers, "host suspended, resumed"):
            pids = [pid for router in routers for pid in self.pids(router).values()]
            self._pause(pids)
            for router in routers:
                self._ready(router)

    def pull_nic(self, network: str) -> None:
        """The NIC ends, as it does when the namespace at its other end ends; another is plugged in."""
        universe = next(r for r in self.fleet.network(network) if r.form == "universe")
        with self._noted([universe], "NIC pulled, plugged in"):
            linux.ip_batch(plan.ISP, [f"link delete {self._wire(universe)}"])
            time.sleep(_PAUSE)
            self._plug_in(universe)
            self._restart(universe)
        for router in self.fleet.network(network):
            self._ready(router)

    def renew_network(self, network: str) -> None:
        """All of it destroyed, and spawned at once."""
        routers = self.fleet.network(network)
        with self._noted(routers, "destroy"):
            names = [router.key for router in routers]
            self._product.must("destroy", "--force", *names, timeout=HEALS_WITHIN)
            self._plug_in(next(router for router in routers if router.form == "universe"))
        with self._noted(routers, "spawn"):
            self._spawn_network(network)

    def spawn_many(self, network: str, count: int) -> None:
        """That many routers (at most 100) at once, by one routerctl; clients on some of them send from the first
        moment."""
        routers = [self._one_of_many(network, copy) for copy in range(count)]
        for router in routers:
            self._allowed[router.key] = self._watch.add(router)
        with self._noted(routers, f"spawn, {count} at once"):
            file = self.fleet.write_set(network, f"{network}-{MANY}", routers)
            self._product.must("spawn", "--no-wait", file, timeout=300)
            self._connect(routers[:: max(1, count // 8)])
            for router in routers:
                self._ready(router)
        with self._noted(routers, f"destroy, {count} at once"):
            self._product.must("destroy", *[router.key for router in routers], timeout=300)
        for router in routers:
            client = self._clients.pop(router.key, None)
            if client is not None:
                self._chorus.remove(client.netns)
                client.close()

    def _one_of_many(self, network: str, copy: int) -> Router:
        form = "direct" if copy % 2 == 0 else "socks5"
        address = f"{UNIVERSE_LAN}.{10 + copy if copy < 90 else 64 + copy}"  # those that router_mac() knows
        mac = fleet.router_mac(int(network.removeprefix("network")), address)
        servers = self.fleet.server(form)
        return Router(network, f"many{copy}", form, "universe0", address, mac, f"10.3.{copy}", servers=servers)

    # --- ways past a router, made on purpose ---------------------------------------------------------

    def controls(self, router: Router) -> list[str]:
        """Each must be seen by the watch."""
        return [] if router.form == "universe" or self._downstream(router) else ways_past.fitting(router)

    def control(self, router: Router, name: str) -> bool:
        """Was it caught? The router is made anew afterwards."""
        seen: list[tuple[str, Frame]] = []
        self._watch.take(router)

        def look() -> bool:
            seen.extend(self._watch.take(router).wrong)
            return len(seen) >= 3

        began = time.monotonic()
        try:
            self._watch.expect_extra(router, router.upstream_netns)
            ways_past.WAYS[name](router)
            with contextlib.suppress(LabError):
                linux.wait_until("the leak", look, 20)
        finally:
            # A connection that nobody can end any more may keep the namespace, and so the client's link, for a while.
            linux.ip_batch(self._clients[router.key].netns, ["link delete eth0"])
            self._product.ctl("destroy", router.key, timeout=HEALS_WITHIN)
            ways_past.remove(router)
            self._watch.take(router)
            self._take_above(router)
        self.notes.append(Note(router.key, router.form, name, len(seen), seen, time.monotonic() - began, True))
        self._ask_to_spawn(router)
        self._connect_one(router)
        self._ready(router)
        return bool(seen)

    def _take_above(self, router: Router) -> None:
        """What a control lets out is seen again on the links that lead on from there."""
        while router.upstream is not None:
            above = next(r for r in self.fleet.network(router.network) if r.name == router.upstream)
            seen = self._watch.take(above)
            wrong = [(why, frame) for why, frame in seen.wrong if router.mark not in frame.data]
            if wrong:
                self.notes.append(Note(above.key, above.form, f"control: {router.key}", seen.frames, wrong, 0.0))
            router = above

    # --- housekeeping -------------------------------------------------------------------------------

    def shorten_logs(self) -> None:
        for log in (self._lab.state / "log").iterdir():
            if log.stat().st_size > _LOG_LIMIT:
                os.truncate(log, 0)


def _has_link(netns: str) -> bool:
    return "eth0" in linux.run(["ip", "-o", "link"], netns)


def wait_for_carrier(netns: str, link: str) -> None:
    """The kernel carries nothing before it has looked at the carrier, once a second at most (link_watch.c)."""
    carrier = lambda: "state UP" in linux.run(["ip", "-o", "link", "show", link], netns)  # noqa: E731
    linux.wait_until(f"carrier of {link}", carrier, HEALS_WITHIN, every=0.02)
