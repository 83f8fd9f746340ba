"""From a kernel written in the vocabulary of `language` to object code, through Numba and LLVM.

A kernel is a function in a module of `sources`, of arrays, whole numbers and floats, as its
annotations say:

    def product(x: Floats, w: Floats, y: FloatsOut, rows: int, …) -> None:

It is compiled into a function of one argument, the address of a block of 64-bit words: a place for
the first violation in a checked build, then for each array its address and length, for each number
its value. What is kept is plain object code: it is loaded without Numba, and nothing is unpickled.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, njit
from numba.core import types
from numba.extending import intrinsic

from .language import memory
from .language.functions import OPTIONS
from .machine import Machine

I64 = ir.IntType(64)


class Compiled(NamedTuple):
    """A kernel's object code, its symbol, and its parameters' kinds (`FloatsOut`, `int`, …)."""

    code: bytes
    symbol: str
    kinds: tuple[str, ...]


def compiled(module: str, name: str, machine: Machine) -> Compiled:
    """Compile `name` of `sources.module`."""
    source = importlib.import_module(f"{__package__}.sources.{module}")
    kernel = getattr(source, name)
    kinds = tuple(p.annotation for p in inspect.signature(kernel).parameters.values())
    unpacked = _unpacker(kinds)
    body: Any = njit(**OPTIONS)(kernel)

    def entry(block: int) -> None:
        body(*unpacked(block))

    function: Any = cfunc(types.void(types.int64), **OPTIONS)(entry)
    # Numba's own target has optimised it; here it is only written down for the same CPU.
    assembly = llvm.parse_assembly(function._library.get_llvm_str())
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, jit=True, codemodel="jitdefault"
    )
    return Compiled(target.emit_object(assembly), function.native_name, kinds)


def _unpacker(kinds: tuple[str, ...]) -> Any:
    """An intrinsic that makes a call's block of words into the kernel's arguments."""
    numba_types = tuple(_numba_type(kind) for kind in kinds)
    result: Any = types.Tuple(numba_types)  # type: ignore[no-untyped-call] # Numba's own

    @intrinsic
    def unpacked(_typing: Any, block: Any) -> Any:  # noqa: ARG001 # its type is declared
        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            words = b.inttoptr(given[0], I64.as_pointer())
            values = []
            slot = 1
            for kind, numba_type in zip(kinds, numba_types, strict=True):
                if isinstance(numba_type, memory.Span):
                    values.append(memory.spans_of(given[0], b, slot))
                    slot += 2
                    continue
                word = b.load(b.gep(words, [I64(slot)]))
                slot += 1
                values.append(
                    b.fptrunc(b.bitcast(word, ir.DoubleType()), ir.FloatType())
                    if kind == "float"
                    else word
                )
            return context.make_tuple(b, result, values)

        return result(types.int64), emit

    return unpacked


def _numba_type(kind: str) -> Any:
    if kind == "int":
        return types.int64
    if kind == "float":
        return types.float32
    return getattr(memory, kind)
