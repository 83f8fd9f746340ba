"""A compiled kernel as a Python function: found in the cache or compiled, then loaded once.

The one way into machine code. Every argument is looked at before its address is taken: an array's
dtype, that what is written may be written, how far its memory reaches. In a checked build
(`CONVNEST_KERNEL_CHECKS=1`) the kernel itself looks at every access, and the first one outside its
array raises.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnest_core.errors import CoreError

from . import object_cache
from .machine import Machine, machine

CHECKED = os.environ.get("CONVNEST_KERNEL_CHECKS", "") == "1"

_DTYPES = {"Floats": np.float32, "Doubles": np.float64, "Bytes": np.uint8}
_lock = threading.Lock()


class Native:
    """The kernel `name` of `sources.module`; called with its arguments in order.

    Arrays of the declared dtype, or None for one that may be left out; integers; floats.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._loaded: _Loaded | None = None

    def __call__(self, *arguments: npt.NDArray[Any] | float | None) -> None:
        loaded = self._loaded or self.load()
        if len(arguments) != len(loaded.kinds):
            raise TypeError(
                f"{self.name} takes {len(loaded.kinds)} arguments, got {len(arguments)}"
            )
        words: list[int] = [0]
        for kind, argument in zip(loaded.kinds, arguments, strict=True):
            if kind == "int":
                words.append(argument)  # type: ignore[arg-type] # ctypes refuses what is no integer
            elif kind == "float":
                words.append(_bits(argument))  # type: ignore[arg-type] # struct refuses likewise
            elif argument is None:
                words += (0, 0)
            else:
                words += _span(self.name, kind, argument)
        if CHECKED:
            self._call_checked(loaded, words)
        else:
            loaded.function((ctypes.c_int64 * len(words))(*words))

    def load(self) -> _Loaded:
        """Have it ready: from this process, else from the disk, else compiled."""
        with _lock:
            if self._loaded is None:
                found = machine()
                assert found is not None, "these kernels are chosen only where there are any"
                self._loaded = _loaded(self.module, self.name, found)
            return self._loaded

    def _call_checked(self, loaded: _Loaded, words: list[int]) -> None:
        record = (ctypes.c_int64 * 3)()
        words[0] = ctypes.addressof(record)
        loaded.function((ctypes.c_int64 * len(words))(*words))
        if record[0]:
            raise CoreError(
                f"the kernel {self.name} went outside an array: element {record[1]} of {record[2]}"
            )


class _Loaded(NamedTuple):
    function: Any  # a ctypes function
    kinds: tuple[str, ...]


def _span(name: str, kind: str, array: Any) -> tuple[int, int]:
    """The address of an array, and how many elements its memory reaches over."""
    dtype = _DTYPES[kind.removesuffix("Out")]
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(
            f"{name} takes {dtype.__name__} arrays, got {getattr(array, 'dtype', array)}"
        )
    if kind.endswith("Out") and not array.flags.writeable:
        raise TypeError(f"{name} writes to this array, and it is read-only")
    address: int = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return address, array.size
    if min(array.strides) < 0 or address % array.itemsize:
        raise TypeError(f"{name} takes arrays that are aligned and run forwards")
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    return address, reach // array.itemsize + 1


def _bits(number: float) -> int:
    value: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return value


def _loaded(module: str, name: str, target: Machine) -> _Loaded:
    under = object_cache.key(target, checked=CHECKED)
    kernel = object_cache.stored(name, under)
    if kernel is None:
        # Imported here because Numba takes half a second, and mostly nothing has to be compiled.
        from .compiler import compiled

        kernel = object_cache.Stored(*compiled(module, name, target))
        object_cache.keep(name, under, kernel)
    engine = _engine(target)
    import llvmlite.binding as llvm

    engine.add_object_file(llvm.ObjectFileRef.from_data(kernel.code))
    engine.finalize_object()
    address = engine.get_function_address(kernel.symbol)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    return _Loaded(function, kernel.kinds)


@functools.cache
def _engine(target: Machine) -> Any:
    """LLVM's loader of object code; it keeps what it has loaded as long as the process lives."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    described = llvm.Target.from_default_triple().create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, jit=True, codemodel="jitdefault"
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), described)
