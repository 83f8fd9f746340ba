"""Whether the kernel ended a process for want of memory, and how much memory there is."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def out_of_memory_kills() -> int:
    """How often the kernel has killed in our cgroup or, where that is not told, on the machine."""
    for path in (_CGROUP / "memory.events", Path("/proc/vmstat")):
        try:
            text = path.read_text("ascii")
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def memory_bytes() -> int:
    """What this process and its children may use: the cgroup's limit, else the machine's memory."""
    machine = _machine_bytes()
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
    except OSError:
        return machine
    return machine if limit == "max" else min(int(limit), machine)


def _machine_bytes() -> int:
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/meminfo names no MemTotal")


def resident_bytes(pid: int) -> int:
    """Memory that a process holds; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
