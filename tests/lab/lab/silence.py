"""A server that neither answers nor goes away: its process is stopped; where the kernel itself serves, it hears
nothing."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Iterator

from . import linux, plan, wireguard
from .processes import Ledger

_DEAF = """table inet deaf {
  chain deaf { type filter hook prerouting priority -300; policy drop; }
}
"""


def silence(ledger: Ledger, server: str) -> None:
    if _in_kernel(server):
        linux.run(["nft", "-f", "-"], plan.WIREGUARD, _DEAF)
    else:
        os.kill(_pid(ledger, server), signal.SIGSTOP)


def wake(ledger: Ledger, server: str) -> None:
    if _in_kernel(server):
        linux.run(["nft", "delete", "table", "inet", "deaf"], plan.WIREGUARD)
    else:
        os.kill(_pid(ledger, server), signal.SIGCONT)


@contextlib.contextmanager
def silenced(ledger: Ledger, server: str) -> Iterator[None]:
    silence(ledger, server)
    try:
        yield
    finally:
        wake(ledger, server)


def _in_kernel(server: str) -> bool:
    return server == "wireguard" and wireguard.in_kernel()


def _pid(ledger: Ledger, server: str) -> int:
    return next(process.pid for process in ledger.processes() if process.name == server)
