"""The WireGuard provider: the kernel's WireGuard where it has one, else wireguard-go; and a few client
configurations in wg-quick's syntax, one key each (a key serves one router at a time).
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from . import linux, plan
from .linux import LabError
from .processes import Ledger

DEVICE = "wg-lab"

_CLIENT = """[Interface]
PrivateKey = {private}
Address = {address}/24
DNS = {gateway}
MTU = 1420

[Peer]
PublicKey = {server}
Endpoint = {endpoint}:{port}
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 25
"""


def profile_name(number: int) -> str:
    return f"galaxy{number}.conf"


def peer_address(number: int) -> str:
    return f"{plan.WIREGUARD_INSIDE}.{number + 2}"


def _public(private: str) -> str:
    return linux.run(["wg", "pubkey"], stdin=private + "\n").strip()


@functools.cache
def in_kernel() -> bool:
    """Whether this machine's kernel has it: then no process runs for it, at the router's end or the provider's."""
    probe = ["unshare", "--net", "ip", "link", "add", DEVICE, "type", "wireguard"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def services() -> tuple[str, ...]:
    """The processes of a router's egress."""
    return () if in_kernel() else ("wireguard-go",)


def start(ledger: Ledger, state: Path) -> str:
    """Returns which implementation serves: "kernel" or "wireguard-go"."""
    server = linux.run(["wg", "genkey"]).strip()
    config = [f"[Interface]\nPrivateKey = {server}\nListenPort = {plan.WIREGUARD_PORT}\n"]
    for number in range(plan.WIREGUARD_PEERS):
        private = linux.run(["wg", "genkey"]).strip()
        config.append(f"[Peer]\nPublicKey = {_public(private)}\nAllowedIPs = {peer_address(number)}/32\n")
        _write_profile(state / profile_name(number), private, peer_address(number), _public(server))
    server_config = state / "wireguard.conf"
    server_config.touch(mode=0o600)
    server_config.write_text("\n".join(config))
    if in_kernel():
        linux.ip_batch(plan.WIREGUARD, [f"link add {DEVICE} type wireguard"])
        linux.run(["wg", "setconf", DEVICE, str(server_config)], plan.WIREGUARD)
    else:
        start_userspace(ledger, state, "wireguard", DEVICE, plan.WIREGUARD, server_config)
    setup = [
        f"address add {plan.WIREGUARD_INSIDE}.1/24 dev {DEVICE}",
        f"link set {DEVICE} mtu 1420 up",
    ]
    linux.ip_batch(plan.WIREGUARD, setup)
    return "kernel" if in_kernel() else "wireguard-go"


def _write_profile(path: Path, private: str, address: str, server: str) -> None:
    path.touch(mode=0o600)
    path.write_text(
        _CLIENT.format(
            private=private,
            address=address,
            gateway=f"{plan.WIREGUARD_INSIDE}.1",
            server=server,
            endpoint=plan.WIREGUARD_SITE.address,
            port=plan.WIREGUARD_PORT,
        )
    )


def start_userspace(ledger: Ledger, state: Path, name: str, device: str, netns: str, config: Path) -> None:
    """Any wireguard-go, up to the point where its device is there and has its keys.

    Its control socket is made at /run/wireguard/DEVICE.sock in a mount namespace of its own; only
    `wg`, which has to find it by that same path, is started into that namespace as well.
    """
    own_run = state / "run" / name
    (own_run / "wireguard").mkdir(parents=True)
    process = ledger.start(
        name,
        ["wireguard-go", "-f", device],
        netns,
        mounts={"/run": own_run},
        environment={"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"},
    )

    def socket_there() -> bool:
        if process.poll() is not None:
            raise LabError(f"wireguard-go ended with {process.returncode}:\n{ledger.tail(name)}")
        return (own_run / "wireguard" / f"{device}.sock").exists()

    linux.wait_until("wireguard-go's control socket", socket_there, 10)
    enter = ["nsenter", f"--target={process.pid}", "--mount", "--net"]
    linux.run([*enter, "wg", "setconf", device, "/dev/stdin"], stdin=config.read_text())
