"""Programs that the tests run in teams."""

import os
import signal
import time

import numpy as np
from convnest_core import Array
from convnest_core.kernels import convolve, kernel_set
from convnest_core.team import Member


class Probe:
    """Does what a test asks of one member or of all."""

    def __init__(self, member: Member, *, values: int = 8, fails_to_start: bool = False) -> None:
        self._member = member
        self.values = member.array((values,), np.float32)
        self.pids = member.array((member.size,), np.int64)
        self.cpu_s = member.array((member.size,), np.float64)
        if fails_to_start and member.rank:
            raise ValueError(f"no member {member.rank} today")

    def report(self) -> None:
        """Every member writes its process, and the CPU time it has used."""
        self.pids[self._member.rank] = os.getpid()
        self.cpu_s[self._member.rank] = time.process_time()

    def kernels(self) -> list[str]:
        """The kernel set of every member."""
        self.values[self._member.rank] = kernel_set() == "simd"
        self._member.barrier()
        return ["simd" if value else "numpy" for value in self.values[: self._member.size]]

    def fill(self, value: float) -> None:
        """Every member fills its share of the values with `value` and its rank."""
        self.values[self._member.share(len(self.values))] = value + self._member.rank

    def sum(self, count: int, dtype: str) -> list[float]:
        """The sum over the members of 1, 2, … count, each times its rank and one."""
        batch = self._member.batch(self._member.size)
        given = np.arange(1, count + 1).astype(dtype) * (1 + self._member.rank)
        total = batch.all_sum(given)
        assert total.dtype == given.dtype
        self._member.barrier()
        return [float(value) for value in total]

    def meet(self, times: int) -> None:
        """Barriers and nothing else."""
        for _ in range(times):
            self._member.barrier()

    def late(self, rank: int, seconds: float, busy: bool = False) -> None:
        """One member comes late to a barrier: asleep or at work."""
        if self._member.rank == rank:
            end = time.monotonic() + seconds
            while busy and time.monotonic() < end:
                pass
            time.sleep(max(0.0, end - time.monotonic()))
        self._member.barrier()

    def fail(self, rank: int) -> None:
        """One member raises an exception; the others wait for it."""
        if self._member.rank == rank:
            raise ValueError(f"member {rank} was told to fail")
        self._member.barrier()

    def kill(self, rank: int) -> None:
        """One member is killed; the others wait for it."""
        if self._member.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        self._member.barrier()

    def exit(self, rank: int) -> None:
        """One member ends; the others wait for it."""
        if self._member.rank == rank:
            os._exit(3)
        self._member.barrier()


class Bands:
    """Three convolutions of one image, whose rows the members split layer by layer."""

    KERNEL = 3

    def __init__(self, member: Member, *, size: int, channels: int) -> None:
        self._member = member
        self._halo = self.KERNEL // 2
        rng = np.random.default_rng(0)
        shape = (self.KERNEL, self.KERNEL, channels, channels)
        self.weights = [0.1 * rng.standard_normal(shape).astype(np.float32) for _ in range(3)]
        # Rows of zeros above and below: a band takes its neighbours' rows, or these.
        padded = (1, size + 2 * self._halo, size, channels)
        self.layers = [member.array(padded, np.float32) for _ in range(4)]
        self._rows = member.share(size)

    def inside(self, layer: int) -> Array:
        """A layer without the rows around it."""
        return self.layers[layer][:, self._halo : -self._halo]

    def forward(self) -> None:
        """From the first layer to the last; each needs the whole one before."""
        first, last = self._rows.start, self._rows.stop
        for index, weight in enumerate(self.weights):
            band = self.layers[index][:, first : last + 2 * self._halo]
            y = convolve(band, weight, None, stride=(1, 1), padding=(0, self._halo))
            self.inside(index + 1)[:, first:last] = y
            self._member.barrier()
