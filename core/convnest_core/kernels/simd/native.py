"""A compiled kernel as a Python function: found in the cache or compiled, then loaded once.

The one way into machine code. Every argument is looked at before its address is taken: an array's
dtype and alignment, that what is written may be written, how far its memory reaches. That a
kernel's sizes and strides stay within that reach is its front end's duty; in a checked build
(`CONVNEST_KERNEL_CHECKS=1`) the kernel itself looks at every access, and the first one outside its
array raises.

Threads may call one kernel at a time or many: a call's memory is its own. A process that forks
takes what it has loaded with it.
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
from .machine import CHECKED, Machine, llvm_target, machine
from .object_cache import ENTRY, Stored

_DTYPES = {"Floats": np.float32, "Doubles": np.float64, "Bytes": np.uint8}
_NUMBERS = {"int": "q", "float": "d"}  # as `struct` writes them; an array is "qq"
_NOTHING = (0, 0)

_lock = threading.RLock()
# A child that is forked while another thread loads a kernel would find LLVM locked for ever.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)

#: Every kernel that a front end has named, by `title`.
named: dict[str, Native] = {}


class Native:
    """The kernel `name` of `sources.module`; called with its arguments in order.

    Arrays of the declared dtype, or None for one that may be left out; integers; floats.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self._loaded: _Loaded | None = None
        named.setdefault(self.title, self)

    @property
    def title(self) -> str:
        """What it is called in the cache, and for people."""
        return f"{self.module}.{self.name}"

    @property
    def is_cached(self) -> bool:
        """Whether it lies on the disk for this machine, intact."""
        return object_cache.stored(self.title, _key()) is not None

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
        violation = (ctypes.c_int64 * 3)() if CHECKED else None
        try:
            block = loaded.pack(ctypes.addressof(violation) if violation else 0, *words)
        except (struct.error, TypeError) as error:
            raise TypeError(f"{self.name} was given a number it does not take: {error}") from error
        status = loaded.function(block)
        if violation and violation[0]:
            raise CoreError(
                f"the kernel {self.name} went outside an array: "
                f"element {violation[1]} of {violation[2]}"
            )
        if status:
            raise CoreError(f"the kernel {self.name} gave up (status {status})")

    def load(self) -> _Loaded:
        """Have it ready: from this process, else from the disk, else compiled and kept there."""
        with _lock:
            if self._loaded is None:
                self._loaded = _load(self.module, self.name)
            return self._loaded


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
    engine: Any  # LLVM's; it holds the code


def _span(name: str, parameter: _Parameter, array: Any) -> tuple[int, int]:
    """The address of an array, and how many elements its memory reaches over."""
    dtype, written = parameter
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} takes {dtype} arrays, got {getattr(array, 'dtype', array)}")
    flags = array.flags
    if written and not flags.writeable:
        raise TypeError(f"{name} writes to this array, and it is read-only")
    if not flags.aligned:
        raise TypeError(f"{name} takes arrays that are aligned")
    address = _address(array)
    if flags.c_contiguous:
        return address, array.size
    if min(array.strides) < 0:
        raise TypeError(f"{name} takes arrays that run forwards, got strides {array.strides}")
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


def _found() -> Machine:
    found = machine()
    assert found is not None, "these kernels are chosen only where there are any"
    return found


def _key() -> str:
    return object_cache.key(_found(), checked=CHECKED)


@functools.cache
def _load(module: str, name: str) -> _Loaded:
    title = f"{module}.{name}"
    kernel = object_cache.stored(title, _key())
    if kernel is None:
        # Imported here because Numba takes half a second, and mostly nothing has to be compiled.
        from .compiler import compiled

        kernel = Stored(*compiled(module, name, _found()))
        if object_cache.key.__wrapped__(_found(), checked=CHECKED) != _key():
            # What calls the kernel is older than what was compiled: they need not fit.
            raise CoreError("ConvNest was changed while this process ran; start it anew")
        object_cache.keep(title, _key(), kernel)
    import llvmlite.binding as llvm

    # One engine each: object files of several processes may use the same names.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), llvm_target(_found()))
    engine.add_object_file(llvm.ObjectFileRef.from_data(kernel.code))
    engine.finalize_object()
    words = "".join(_NUMBERS.get(kind, "qq") for kind in kernel.kinds)
    return _Loaded(
        ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p)(engine.get_function_address(ENTRY)),
        tuple(_Parameter.of(kind) for kind in kernel.kinds),
        struct.Struct(f"=q{words}").pack,
        engine,
    )
