"""What kernels are generated for: a CPU, whose vector registers decide how they look."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
from dataclasses import dataclass
from typing import Any

#: Whether kernels look at every access; read once, for it changes their types.
CHECKED = os.environ.get("CONVNEST_KERNEL_CHECKS", "") == "1"


@dataclass(frozen=True)
class Machine:
    """A CPU as the compiler sees it. `width` is how many float32 one vector register holds."""

    cpu: str
    features: str  # as LLVM writes them: "+avx2,-avx512f,…"
    width: int
    registers: int

    @property
    def pixels(self) -> int:
        """P of the register tile: with Q vectors, their weights and one input, all registers."""
        return (self.registers - self.vectors - 1) // self.vectors

    @property
    def vectors(self) -> int:
        """Q of the register tile."""
        return 2

    @property
    def block(self) -> int:
        """Output channels of a register tile: weights are packed in blocks of so many."""
        return self.vectors * self.width

    @property
    def name(self) -> str:
        """For people: `avx512`, `avx2` or `neon`."""
        return {16: "avx512", 8: "avx2", 4: "neon"}[self.width]


@functools.cache
def machine() -> Machine | None:
    """This process's CPU; None where no kernels can be had for it.

    `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` overrule what is found, as they do for Numba.
    """
    if os.name != "posix" or not all(
        importlib.util.find_spec(name) for name in ("llvmlite", "numba")
    ):
        return None
    # Imported here because it takes 40 ms and only this set needs it.
    import llvmlite.binding as llvm

    cpu = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    present = {word[1:] for word in features.split(",") if word.startswith("+")}
    if {"avx512f", "avx512vl", "avx512dq"} <= present:
        return Machine(cpu, features, width=16, registers=32)
    if {"avx2", "fma"} <= present:
        return Machine(cpu, features, width=8, registers=16)
    if platform.machine().lower() in ("arm64", "aarch64"):
        return Machine(cpu, features, width=4, registers=32)
    return None


def llvm_target(machine: Machine) -> Any:  # llvmlite has no types
    """LLVM's code generator for a machine; object code is made and loaded with the same."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, jit=True, codemodel="jitdefault"
    )
