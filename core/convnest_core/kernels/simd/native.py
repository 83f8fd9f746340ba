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
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convnest_core.errors import CoreError

from . import object_cache
from .machine import Machine, machine

CHECKED = os.environ.get("CONVNEST_KERNEL_CHECKS", "") == "1"

_DTYPES = {"Floats": np.float32, "Doubles": np.float64, "Bytes": np.uint8}
_NUMBERS = {"int": "q", "float": "d"}  # as `struct` writes them
_NOTHING = (0, 0)
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
        if len(arguments) != len(loaded.parameters):
            raise TypeError(
                f"{self.name} takes {len(loaded.parameters)} arguments, got {len(arguments)}"
            )
        words: list[Any] = []  # Any: numbers, each refused by `pack` where it is of another kind
        for parameter, argument in zip(loaded.parameters, arguments, strict=True):
            if parameter is None:
                words.append(argument)
            elif argument is None:
                words += _NOTHING
            else:
                words += _span(self.name, parameter, argument)
        if CHECKED:
            self._call_checked(loaded, words)
        else:
            loaded.function(loaded.pack(0, *words))

    def load(self) -> _Loaded:
        """Have it ready: from this process, else from the disk, else compiled."""
        with _lock:
            if self._loaded is None:
                found = machine()
                assert found is not None, "these kernels are chosen only where there are any"
                self._loaded = _loaded(self.module, self.name, found)
            return self._loaded

    def _call_checked(self, loaded: _Loaded, words: list[Any]) -> None:
        record = (ctypes.c_int64 * 3)()
        loaded.function(loaded.pack(ctypes.addressof(record), *words))
        if record[0]:
            raise CoreError(
                f"the kernel {self.name} went outside an array: element {record[1]} of {record[2]}"
            )


class _Parameter(NamedTuple):
    """An array that a kernel takes."""

    dtype: np.dtype[Any]
    written: bool

    @staticmethod
    def of(kind: str) -> _Parameter | None:
        """None for a number."""
        if kind in _NUMBERS:
            return None
        return _Parameter(np.dtype(_DTYPES[kind.removesuffix("Out")]), kind.endswith("Out"))


class _Loaded(NamedTuple):
    function: Any  # a ctypes function
    parameters: tuple[_Parameter | None, ...]
    pack: Callable[..., bytes]  # the words of a call, the record's address first

    @staticmethod
    def of(address: int, kinds: tuple[str, ...]) -> _Loaded:
        words = "".join(_NUMBERS.get(kind, "qq") for kind in kinds)
        return _Loaded(
            ctypes.CFUNCTYPE(None, ctypes.c_char_p)(address),
            tuple(_Parameter.of(kind) for kind in kinds),
            struct.Struct(f"=q{words}").pack,
        )


def _span(name: str, parameter: _Parameter, array: Any) -> tuple[int, int]:
    """The address of an array, and how many elements its memory reaches over."""
    dtype, written = parameter
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} takes {dtype} arrays, got {getattr(array, 'dtype', array)}")
    flags = array.flags
    if written and not flags.writeable:
        raise TypeError(f"{name} writes to this array, and it is read-only")
    address = _address(array)
    if flags.c_contiguous and flags.aligned:
        return address, array.size
    if not flags.aligned or min(array.strides) < 0:
        raise TypeError(f"{name} takes arrays that are aligned and run forwards")
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    return address, reach // array.itemsize + 1


def _address(array: npt.NDArray[Any]) -> int:
    """Where an array's elements begin.

    As C extensions read it (`PyArray_DATA`: the first field after the object's head), because
    `array.ctypes` takes ten times as long, and a small layer's kernel no longer than that.
    """
    address: int = _pointer_at(id(array) + object.__basicsize__).value
    return address


_pointer_at: Any = ctypes.c_size_t.from_address
_probe = np.empty(1)
assert _address(_probe) == _probe.ctypes.data, "NumPy's arrays are laid out in another way"


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
    return _Loaded.of(address, kernel.kinds)


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
