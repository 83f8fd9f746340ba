"""From a kernel written in the vocabulary of `language` to object code, through Numba and LLVM.

A kernel is a function in a module of `sources`, of arrays, whole numbers and floats, as its
annotations say:

    def product(x: Floats, w: Floats, y: FloatsOut, rows: int, …) -> None:

It is compiled into a function of one argument, the address of a block of 64-bit words: a place for
the first violation in a checked build, then for each array its address and length, for each number
its value. What is kept is plain object code of that one symbol, which needs nothing of Numba or
Python where it is loaded.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.extending import intrinsic

from convnest_core.errors import CoreError

from .language import memory
from .language.functions import OPTIONS
from .machine import Machine, llvm_target
from .object_cache import ENTRY

I32, I64 = ir.IntType(32), ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()
#: What object code may call, besides itself: the C library's.
_KNOWN = {"memcpy", "memmove", "memset", "expf", "logf", "powf", "exp", "log", "pow"}


class Compiled(NamedTuple):
    """A kernel's object code, and its parameters' kinds (`FloatsOut`, `int`, …)."""

    code: bytes
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

    signature: Any = types.void(types.int64)
    with _not_executed():
        function: Any = njit(signature, **OPTIONS)(entry)
    result = function.overloads[signature.args]
    assembly = llvm.parse_assembly(result.library.get_llvm_str())
    _reduce(assembly, result.fndesc.llvm_func_name, machine)
    return Compiled(llvm_target(machine).emit_object(assembly), kinds)


@contextmanager
def _not_executed() -> Iterator[None]:
    """Numba makes machine code of each function of a kernel, to run it: a quarter of its time.

    Within this it leaves that undone. What is replaced is Numba's own; were it named otherwise one
    day, compiling would only take longer.
    """
    steps = ((JITCodeLibrary, "_finalize_specific"), (JITCPUCodegen, "set_env"))
    kept = [(owner, name, getattr(owner, name, None)) for owner, name in steps]
    for owner, name in steps:
        setattr(owner, name, lambda *_: None)
    try:
        yield
    finally:
        for owner, name, step in kept:
            setattr(owner, name, step)


def _reduce(assembly: Any, inner: str, machine: Machine) -> None:
    """Make `ENTRY` the one way in and remove what it does not reach: Numba's ways from Python.

    Numba has optimised the rest for the same CPU; it stays as it is.
    """
    made = ir.Module()
    made.triple = assembly.triple
    parameters = [_POINTER.as_pointer(), _POINTER.as_pointer(), I64]  # Numba's convention
    callee = ir.Function(made, ir.FunctionType(I32, parameters), inner)
    entry = ir.Function(made, ir.FunctionType(I32, [I64]), ENTRY)
    b = ir.IRBuilder(entry.append_basic_block())
    b.ret(b.call(callee, [b.alloca(_POINTER), b.alloca(_POINTER), entry.args[0]]))
    assembly.link_in(llvm.parse_assembly(str(made)))
    for one in (*assembly.functions, *assembly.global_variables):
        if not one.is_declaration and one.name != ENTRY:
            one.linkage = "internal"
    passes = llvm.newpassmanagers.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    options = llvm.create_pipeline_tuning_options()
    passes.run(assembly, llvm.create_pass_builder(llvm_target(machine), options))
    for one in (*assembly.functions, *assembly.global_variables):
        if one.is_declaration and not one.name.startswith("llvm.") and one.name not in _KNOWN:
            raise CoreError(f"a kernel must not need {one.name}: it runs without Python")


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
