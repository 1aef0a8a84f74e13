"""The OpenVPN provider: one certificate authority, a server on UDP and one on TCP, and the profiles
it hands to its clients. Any number of clients may use one profile at once (duplicate-cn).
"""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from . import linux, plan
from .processes import Ledger

READY = "Initialization Sequence Completed"
PROFILE_UDP = "galaxy0.ovpn"
PROFILE_TCP = "galaxy0-tcp.ovpn"

_SERVER = """mode server
tls-server
proto {protocol}
local {address}
port {port}
dev {device}
dev-type tun
topology subnet
server {inside}.0 255.255.255.0
ca {pki}/ca.crt
cert {pki}/server.crt
key {pki}/server.key
dh none
verify-client-cert require
duplicate-cn
max-clients 1000
data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305
keepalive 5 30
script-security 1
push "redirect-gateway def1"
push "dhcp-option DNS {inside}.1"
push "route {pushed}"
verb 3
"""

_CLIENT = """client
dev tun
proto {protocol}
remote {address} {port}
nobind
persist-key
persist-tun
remote-cert-tls server
data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305
auth-nocache
verb 3
<ca>
{ca}</ca>
<cert>
{cert}</cert>
<key>
{key}</key>
"""


def _make_pki(pki: Path) -> None:
    pki.mkdir(mode=0o700)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]

    def certificate(name: str, *options: str) -> None:
        files = ["-keyout", f"{pki}/{name}.key", "-out", f"{pki}/{name}.crt"]
        linux.run(["openssl", "req", "-x509", *key, "-subj", f"/CN=lab {name}", *files, *options])

    certificate("ca", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        signed = ["-CA", f"{pki}/ca.crt", "-CAkey", f"{pki}/ca.key", "-addext", "basicConstraints=CA:FALSE"]
        certificate(name, *signed, "-addext", f"extendedKeyUsage={usage}", "-addext", "keyUsage=digitalSignature")


def _write_profile(state: Path, pki: Path, name: str, protocol: str, port: int) -> None:
    def pem(file: str) -> str:
        text = (pki / file).read_text()
        return text[text.index("-----BEGIN") :]

    profile = state / name
    profile.touch(mode=0o600)
    profile.write_text(
        _CLIENT.format(
            protocol=protocol,
            address=plan.OPENVPN_SITE.address,
            port=port,
            ca=pem("ca.crt"),
            cert=pem("client.crt"),
            key=pem("client.key"),
        )
    )


def start(ledger: Ledger, state: Path) -> None:
    pki = state / "pki"
    _make_pki(pki)
    sites = (
        ("openvpn-udp", "udp", plan.OPENVPN_UDP_PORT, plan.OPENVPN_UDP_INSIDE, PROFILE_UDP),
        ("openvpn-tcp", "tcp-server", plan.OPENVPN_TCP_PORT, plan.OPENVPN_TCP_INSIDE, PROFILE_TCP),
    )
    started: list[tuple[str, subprocess.Popen[bytes]]] = []
    for name, protocol, port, inside, profile in sites:
        config = state / f"{name}.conf"
        text = _SERVER.format(
            protocol=protocol,
            address=plan.OPENVPN_SITE.address,
            port=port,
            device=name.replace("openvpn-", "tun-"),
            inside=inside,
            pushed=IPv4Network(plan.PUSHED_ROUTE).with_netmask.replace("/", " "),
            pki=pki,
        )
        config.write_text(text)
        _write_profile(state, pki, profile, protocol.removesuffix("-server"), port)
        started.append((name, ledger.start(name, ["openvpn", "--config", str(config)], plan.OPENVPN)))
    for name, process in started:
        ledger.wait_for_log(process, name, READY)
