"""Several vectors at equal distances in memory, read and written as a tuple."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .memory import accessible
from .vectors import Vector, emit_load, emit_store

I64 = types.int64


def group(count: int) -> ModuleType:
    """The operations on `count` vectors, by name; indices and distances count elements.

    - read(x, index, apart) → the vectors at index, index + apart, …
    - write(y, index, apart, values)
    """
    values = types.UniTuple(Vector, count)

    def place(b: ir.IRBuilder, index: Any, apart: Any, k: int) -> Any:
        return b.add(index, b.mul(apart, apart.type(k)))

    @intrinsic
    def read(_typing: Any, x: Any, index: Any, apart: Any) -> Any:
        if not accessible(x, element="float32"):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            x_, index_, apart_ = given
            loaded = [emit_load(b, x, x_, place(b, index_, apart_, k)) for k in range(count)]
            return context.make_tuple(b, values, loaded)

        return values(x, I64, I64), emit

    @intrinsic
    def write(_typing: Any, y: Any, index: Any, apart: Any, all_values: Any) -> Any:
        if not accessible(y, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            y_, index_, apart_, all_ = given
            for k in range(count):
                value = b.extract_value(all_, k)
                emit_store(b, y, y_, place(b, index_, apart_, k), value)
            return context.get_dummy_value()

        return types.void(y, I64, I64, values), emit

    operations = ModuleType(f"group_{count}")
    for one in (read, write):
        setattr(operations, one.__name__, one)
    return operations
