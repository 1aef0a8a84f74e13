"""A connection of a client that is held open and written to, until somebody ends it."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import time
from typing import Optional

from . import linux
from .client import Client
from .linux import LabError

MARK = b"held-open-"


class Held:
    """A request to the page's server that never ends. Every byte is `mark`, so that a capture knows it."""

    def __init__(self, client: Client, address: str, port: int = 80, mark: bytes = MARK) -> None:
        self.mark = mark
        self._socket = linux.socket_in(client.netns, socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(10)
            self._socket.connect((address, port))
            self._socket.sendall(b"GET / HTTP/1.1\r\nX-Held: " + mark)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.last = time.monotonic()  # when a byte was last taken

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *unused: object) -> None:
        self._socket.close()

    def write(self) -> Optional[int]:
        """The error that the connection has ended by; none while it is there."""
        try:
            self._socket.send(self.mark, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None  # its buffer is full: nobody takes what is in it
        except OSError as error:
            return error.errno
        self.last = time.monotonic()
        return None

    def acknowledged(self) -> bool:
        """Whether the other side's kernel has all that was written (SIOCOUTQ, tcp(7))."""
        left = fcntl.ioctl(self._socket, 0x5411, struct.pack("i", 0))
        return struct.unpack("i", left)[0] == 0

    def hear_reset(self, timeout: float) -> None:
        """Without a word: waits to be told, as who downloads does."""
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(1)
        except ConnectionResetError:
            return
        except TimeoutError:
            raise LabError(f"a connection that only listens is not told within {timeout:g} s") from None
        raise LabError(f"the connection ended by {data!r}")

    def wait_for_reset(self, timeout: float, every: float = 0.005) -> None:
        """Writes until the connection is reset. Any other end, and none, is a LabError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ended = self.write()
            if ended in (errno.ECONNRESET, errno.EPIPE):
                return
            if ended is not None:
                raise LabError(f"the connection ended by {errno.errorcode[ended]}")
            time.sleep(every)  # the rate at which it writes
        raise LabError(f"the connection still takes bytes after {timeout:g} s")
