"""The content of /bytes/N: a stream that anybody can compute again, so that a transfer's SHA-256 is
known beforehand. Its period is a prime, so that no lost, doubled or reordered block of a round size
goes unseen.
"""

from __future__ import annotations

import functools
import hashlib
import itertools

PERIOD = 1_048_583  # the first prime above 2**20


@functools.lru_cache(maxsize=1)
def period() -> bytes:
    digests = (hashlib.sha256(b"orrery lab %d" % i).digest() for i in itertools.count())
    return b"".join(itertools.islice(digests, PERIOD // 32 + 1))[:PERIOD]


def pattern(count: int) -> bytes:
    whole, rest = divmod(count, PERIOD)
    return period() * whole + period()[:rest]


@functools.lru_cache(maxsize=16)
def sha256(count: int) -> str:
    digest = hashlib.sha256()
    whole, rest = divmod(count, PERIOD)
    for _ in range(whole):
        digest.update(period())
    digest.update(period()[:rest])
    return digest.hexdigest()
