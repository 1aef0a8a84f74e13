"""Ways past a router, made on purpose: what a watch must see before its silence means anything."""

from __future__ import annotations

import contextlib
import json
from typing import Callable

from . import linux
from .fleet import Router
from .linux import LabError

EXTRA = "leak"  # the link of a way past, at both of its ends


def fitting(router: Router) -> list[str]:
    """Names of those ways that this kind of router can be given."""
    if router.form == "direct":
        return ["a link past it", "its rules removed", "IPv6 opened"]
    return ["a link past it", "its two namespaces joined"]


def remove(router: Router) -> None:
    """What the router's own end leaves."""
    with contextlib.suppress(LabError):
        linux.ip_batch(router.upstream_netns, [f"link delete {EXTRA}"])


def open_rules(netns: str) -> None:
    """No rule of ours for IPv4, and every chain accepts. The sets stay: no client can be attached without them."""
    listed = json.loads(linux.run(["nft", "-j", "list", "chains", "ip"], netns))["nftables"]
    chains = [each["chain"] for each in listed if each.get("chain", {}).get("table") == "orrery"]
    lines = [f"flush chain ip orrery {chain['name']}\n" for chain in chains]
    lines += [f"add chain ip orrery {c['name']} {{ policy accept; }}\n" for c in chains if "hook" in c]
    linux.run(["nft", "-f", "-"], netns, "".join(lines))


def _link_past(router: Router) -> None:
    """From its LAN's namespace to the one upstream, which is its default route, without rules."""
    lan, upstream = router.key, router.upstream_netns
    _open(lan)
    linux.ip_batch(lan, [f"link add {EXTRA} type veth peer name {EXTRA} netns {upstream}"])
    linux.ip_batch(lan, [f"address add 10.99.0.2/24 dev {EXTRA}", f"link set {EXTRA} up"])
    linux.ip_batch(upstream, [f"link set {EXTRA} up"])
    neighbour = f"neigh replace 10.99.0.1 lladdr 02:00:00:00:00:01 dev {EXTRA} nud permanent"
    linux.ip_batch(lan, [neighbour, f"route replace default via 10.99.0.1 dev {EXTRA}"])


def _no_rules(router: Router) -> None:
    linux.run(["nft", "delete", "table", "ip", "orrery"], router.key)


def _open_ipv6(router: Router) -> None:
    linux.run(["nft", "delete", "table", "ip6", "orrery"], router.key)
    linux.write_sysctls(router.key, {"ipv6/conf/uplink/disable_ipv6": "0"})


def _joined(router: Router) -> None:
    """A link between its LAN's and its egress namespace; both forward, and the latter hides sources."""
    lan, egress = router.key, f"{router.key}.egress"
    for netns in (lan, egress):
        _open(netns)
    rules = "table ip t { chain p { type nat hook postrouting priority 100; masquerade; }; }"
    linux.run(["nft", "-f", "-"], egress, rules)
    linux.ip_batch(lan, [f"link add {EXTRA} type veth peer name {EXTRA} netns {egress}"])
    linux.ip_batch(lan, [f"address add 10.99.0.2/24 dev {EXTRA}", f"link set {EXTRA} up"])
    inside = [f"address add 10.99.0.1/24 dev {EXTRA}", f"link set {EXTRA} up"]
    linux.ip_batch(egress, [*inside, f"route add {router.lan}.0/24 via 10.99.0.2"])
    linux.ip_batch(lan, [f"route replace default via 10.99.0.1 dev {EXTRA}"])


def _open(netns: str) -> None:
    linux.run(["nft", "flush", "ruleset"], netns)
    linux.write_sysctls(netns, {"ipv4/ip_forward": "1"})


WAYS: dict[str, Callable[[Router], None]] = {
    "a link past it": _link_past,
    "its rules removed": _no_rules,
    "IPv6 opened": _open_ipv6,
    "its two namespaces joined": _joined,
}
