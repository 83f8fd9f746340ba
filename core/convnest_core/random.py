"""Randomness that depends on what it is for, and on nothing else.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
turns a 128-bit counter and a 64-bit key into 128 random bits. Here the key is a digest of the seed
and a name (a layer's path), and the counter is (block, sample low, sample high, epoch). So a
sample's numbers do not depend on its batch, on the process that draws them, or on what was drawn
before, and there is no generator state to checkpoint.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import inf, prod

import numpy as np
import numpy.typing as npt

from .arrays import Array, DType, Integers, Pair, Shape

Words = npt.NDArray[np.uint64]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_CHUNK = 1 << 14  # blocks drawn at once: the round's operands stay in the cache


def philox4x32(counter: tuple[Words, Words, Words, Words], key: Pair) -> npt.NDArray[np.uint32]:
    """Ten rounds of Philox4x32; the four counter words broadcast together.

    Words are uint64 arrays holding 32-bit values. Returns uint32 [..., 4].
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    out = np.empty((*np.broadcast(c0, c1, c2, c3).shape, 4), np.uint32)
    for word, values in enumerate((c0, c1, c2, c3)):
        out[..., word] = values
    return out


@lru_cache(maxsize=4096)
def stream_key(seed: int, name: str) -> Pair:
    """The Philox key of one named stream under one seed."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def words(
    name: str, *, seed: int, epoch: int, samples: Integers, count: int
) -> npt.NDArray[np.uint32]:
    """`count` random 32-bit words for each sample index: uint32 [len(samples), count]."""
    key = stream_key(seed, name)
    index = samples.astype(np.uint64)[:, None]
    blocks = -(-count // 4)
    out = np.empty((len(samples), blocks, 4), np.uint32)
    step = max(1, _CHUNK // max(1, len(samples)))
    for first in range(0, blocks, step):
        block = np.arange(first, min(first + step, blocks), dtype=np.uint64)[None, :]
        counter = (block, index & _LOW, index >> _HALF, np.full((1, 1), epoch, np.uint64))
        out[:, first : first + step] = philox4x32(counter, key)
    return out.reshape(len(samples), blocks * 4)[:, :count]


def uniform(name: str, *, seed: int, epoch: int, samples: Integers, count: int) -> Array:
    """Uniform float32 in [0, 1) with 24 random bits: [len(samples), count]."""
    drawn = words(name, seed=seed, epoch=epoch, samples=samples, count=count)
    return (drawn >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def normal(name: str, shape: Shape, *, seed: int, dtype: DType, cut: float = inf) -> Array:
    """Standard normal numbers (Box and Muller, 1958), drawn in float64 and rounded to `dtype`.

    Numbers beyond ±`cut` are replaced by the next ones of their own.
    """
    out = _normal(name, prod(shape), seed=seed, dtype=dtype)
    beyond = np.flatnonzero(np.abs(out) > cut) if cut < inf else ()
    attempt = 0
    while len(beyond):
        attempt += 1
        out[beyond] = _normal(f"{name}/{attempt}", len(beyond), seed=seed, dtype=dtype)
        beyond = beyond[np.abs(out[beyond]) > cut]
    return out.reshape(shape)


def _normal(name: str, count: int, *, seed: int, dtype: DType) -> Array:
    out = np.empty(-(-count // 4) * 4, dtype)
    zero = np.zeros(1, np.uint64)
    key = stream_key(seed, name)
    for first in range(0, len(out), 4 * _CHUNK):
        last = min(first + 4 * _CHUNK, len(out))
        block = np.arange(first // 4, last // 4, dtype=np.uint64)
        drawn = philox4x32((block, zero, zero, zero), key).astype(np.float64)
        radius = np.sqrt(-2.0 * np.log((drawn[:, :2] + 1.0) * 2.0**-32))
        angle = drawn[:, 2:] * (2.0 * np.pi * 2.0**-32)
        out[first:last] = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
    return out[:count]


def shuffled(count: int, *, seed: int, epoch: int) -> Integers:
    """The order in which an epoch visits samples 0 … count-1: int64 [count]."""
    drawn = words("order", seed=seed, epoch=epoch, samples=np.arange(count), count=2)
    ranks = drawn[:, 0].astype(np.uint64) << _HALF | drawn[:, 1]
    return np.argsort(ranks, kind="stable").astype(np.int64)
