"""Register tiles whose vectors run over the batch: one lane an image.

Here a vector holds the same pixel of `WIDTH` images, so few channels fill it as well as many. For a
convolution one weight is broadcast and multiplied with several pixels' vectors (`window`); for its
weights' gradient a pixel's vector meets the gradient's, and the lanes are added at the very end
(`taps`). Places in memory are counted in elements.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from convnest_core.kernels.simd.machine import machine

from .memory import accessible
from .vectors import (
    VECTOR,
    WIDTH,
    ZERO,
    Vector,
    emit_broadcast,
    emit_fused,
    emit_load,
    emit_splat,
    emit_store,
)

I64 = types.int64
_PIXELS = 4  # two rows of two

_found = machine()
assert _found is not None, "kernels are compiled only where `machine` found how"
#: Q of a window that fits into the registers.
FILTERS = 4 if _found.registers >= 32 else 2


def window(Q: int) -> ModuleType:
    """The operations on 2×2 pixels × Q filters, by name; `acc` is the tile.

    - zero() → acc
    - grow(acc, x, index, row, w, w_index) → acc + x · w: the pixels lie at `index`, in two rows
      `row` apart; the filters' weights are w[w_index : w_index + Q]
    - add_bias(acc, b, index) → acc with b[index : index + Q] added
    - rectify(acc) → max(acc, 0)
    - store(acc, y, index, row, plane, rows, columns): write so many rows and columns of the pixels;
      filters lie `plane` apart
    - largest(acc) → the largest of each filter's pixels, NaN where one of them is
    - largest_place(acc) → which pixel that is: 0, 1 (first row), 2 or 3; the first of several
    - store_each(values, y, index, plane): write one vector for each filter
    """
    accumulators = types.UniTuple(Vector, _PIXELS * Q)
    values = types.UniTuple(Vector, Q)
    empty = ir.Constant(ir.ArrayType(VECTOR, _PIXELS * Q), [ZERO] * (_PIXELS * Q))
    nothing = ir.Constant(ir.ArrayType(VECTOR, Q), ir.Undefined)

    @intrinsic
    def zero(_typing: Any) -> Any:
        return accumulators(), lambda _c, _b, _s, _given: empty

    @intrinsic
    def grow(_typing: Any, acc: Any, x: Any, index: Any, row: Any, w: Any, w_index: Any) -> Any:
        if not (accessible(x, element="float32") and accessible(w, element="float32")):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, x_, index_, row_, w_, w_index_ = given
            weights = [
                emit_broadcast(b, w, w_, b.add(w_index_, w_index_.type(q))) for q in range(Q)
            ]
            for p in range(_PIXELS):
                value = emit_load(b, x, x_, _pixel(b, index_, row_, p))
                for q in range(Q):
                    place = p * Q + q
                    grown = emit_fused(b, value, weights[q], b.extract_value(acc, place))
                    acc = b.insert_value(acc, grown, place)
            return acc

        return accumulators(accumulators, x, I64, I64, w, I64), emit

    @intrinsic
    def add_bias(_typing: Any, acc: Any, v: Any, index: Any) -> Any:
        if not accessible(v, element="float32"):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, v_, index_ = given
            for q in range(Q):
                bias = emit_broadcast(b, v, v_, b.add(index_, index_.type(q)))
                for p in range(_PIXELS):
                    place = p * Q + q
                    acc = b.insert_value(acc, b.fadd(b.extract_value(acc, place), bias), place)
            return acc

        return accumulators(accumulators, v, I64), emit

    @intrinsic
    def rectify(_typing: Any, acc: Any) -> Any:
        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            (acc,) = given
            for place in range(_PIXELS * Q):
                value = b.extract_value(acc, place)
                positive = b.select(b.fcmp_ordered("<", value, ZERO), ZERO, value)
                acc = b.insert_value(acc, positive, place)
            return acc

        return accumulators(accumulators), emit

    @intrinsic
    def store(
        _typing: Any,
        acc: Any,
        y: Any,
        index: Any,
        row: Any,
        plane: Any,
        rows: Any,
        columns: Any,
    ) -> Any:
        if not accessible(y, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, y_, index_, row_, plane_, rows_, columns_ = given
            for p in range(_PIXELS):
                down, right = divmod(p, 2)
                wanted = b.and_(
                    b.icmp_signed(">", rows_, rows_.type(down)),
                    b.icmp_signed(">", columns_, columns_.type(right)),
                )
                with b.if_then(wanted):
                    first = _pixel(b, index_, row_, p)
                    for q in range(Q):
                        place = b.add(first, b.mul(plane_, plane_.type(q)))
                        emit_store(b, y, y_, place, b.extract_value(acc, p * Q + q))
            return context.get_dummy_value()

        return types.void(accumulators, y, I64, I64, I64, I64, I64), emit

    def found(b: ir.IRBuilder, acc: Any, q: int) -> tuple[Any, Any]:
        """The largest of a filter's pixels, and its number."""
        best, number = b.extract_value(acc, q), ZERO
        for p in range(1, _PIXELS):
            value = b.extract_value(acc, p * Q + q)
            wins = b.or_(
                b.fcmp_ordered(">", value, best),
                b.fcmp_unordered("uno", value, value),
            )
            best = b.select(wins, value, best)
            number = b.select(wins, emit_splat(b, ir.Constant(ir.FloatType(), float(p))), number)
        return best, number

    def each(which: int) -> Any:
        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            some = nothing
            for q in range(Q):
                some = b.insert_value(some, found(b, given[0], q)[which], q)
            return some

        return emit

    @intrinsic
    def largest(_typing: Any, acc: Any) -> Any:
        return values(accumulators), each(0)

    @intrinsic
    def largest_place(_typing: Any, acc: Any) -> Any:
        return values(accumulators), each(1)

    @intrinsic
    def store_each(_typing: Any, given_values: Any, y: Any, index: Any, plane: Any) -> Any:
        if not accessible(y, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            values_, y_, index_, plane_ = given
            for q in range(Q):
                place = b.add(index_, b.mul(plane_, plane_.type(q)))
                emit_store(b, y, y_, place, b.extract_value(values_, q))
            return context.get_dummy_value()

        return types.void(values, y, I64, I64), emit

    return _module(
        f"window_{Q}",
        [zero, grow, add_bias, rectify, store, largest, largest_place, store_each],
    )


def taps(T: int, Q: int) -> ModuleType:
    """The operations on T neighbouring taps × Q filters, by name.

    - zero() → acc
    - grow(acc, x, index, g, g_index, plane) → acc + x · g, lane by lane: tap t's pixel is t vectors
      behind `index`, the filters' gradients lie `plane` apart
    - add_to(acc, sums, index, apart, count): add the first `count` taps, which lie `apart`, to what
      is there; filters lie side by side
    """
    accumulators = types.UniTuple(Vector, T * Q)
    empty = ir.Constant(ir.ArrayType(VECTOR, T * Q), [ZERO] * (T * Q))

    @intrinsic
    def zero(_typing: Any) -> Any:
        return accumulators(), lambda _c, _b, _s, _given: empty

    @intrinsic
    def grow(_typing: Any, acc: Any, x: Any, index: Any, g: Any, g_index: Any, plane: Any) -> Any:
        if not (accessible(x, element="float32") and accessible(g, element="float32")):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, x_, index_, g_, g_index_, plane_ = given
            gradients = [
                emit_load(b, g, g_, b.add(g_index_, b.mul(plane_, plane_.type(q))))
                for q in range(Q)
            ]
            for t in range(T):
                value = emit_load(b, x, x_, b.add(index_, index_.type(t * WIDTH)))
                for q in range(Q):
                    place = t * Q + q
                    grown = emit_fused(b, value, gradients[q], b.extract_value(acc, place))
                    acc = b.insert_value(acc, grown, place)
            return acc

        return accumulators(accumulators, x, I64, g, I64, I64), emit

    @intrinsic
    def add_to(_typing: Any, acc: Any, sums: Any, index: Any, apart: Any, count: Any) -> Any:
        if not accessible(sums, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, sums_, index_, apart_, count_ = given
            for t in range(T):
                with b.if_then(b.icmp_signed(">", count_, count_.type(t))):
                    first = b.add(index_, b.mul(apart_, apart_.type(t)))
                    for q in range(Q):
                        place = b.add(first, first.type(q * WIDTH))
                        before = emit_load(b, sums, sums_, place)
                        after = b.fadd(before, b.extract_value(acc, t * Q + q))
                        emit_store(b, sums, sums_, place, after)
            return context.get_dummy_value()

        return types.void(accumulators, sums, I64, I64, I64), emit

    return _module(f"taps_{T}_{Q}", [zero, grow, add_to])


def _pixel(b: ir.IRBuilder, index: ir.Value, row: ir.Value, p: int) -> ir.Value:
    down, right = divmod(p, 2)
    return b.add(b.add(index, b.mul(row, row.type(down))), index.type(right * WIDTH))


def _module(name: str, operations: list[Any]) -> ModuleType:
    """Names in modules are what Numba looks up while it compiles."""
    module = ModuleType(name)
    for one in operations:
        setattr(module, one.__name__, one)
    return module
