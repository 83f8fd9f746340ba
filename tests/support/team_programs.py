"""Programs that the tests run in teams."""

import os
import signal
import time

import numpy as np
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
