"""The register tile: P pixels by Q vectors of output channels, held in registers while it grows.

A convolution, seen from one tile, is a sum over input values: each is broadcast to all lanes of a
vector and multiplied with Q vectors of weights, for each of the P pixels. So P·Q accumulators take
P·Q multiply-adds from P + Q loads, and nothing is written until the sum is complete. P and Q are
fixed when a kernel is compiled; everything else comes at run time.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .memory import accessible
from .vectors import (
    VECTOR,
    WIDTH,
    ZERO,
    Vector,
    emit_broadcast,
    emit_fused,
    emit_load,
    emit_load_part,
    emit_store,
    emit_store_part,
)

I64 = types.int64


def tile(P: int, Q: int) -> ModuleType:
    """The operations on P pixels × Q vectors, by name; `acc` is the tile, indices count elements.

    - zero() → acc
    - grow(acc, x, index, pixel_stride, w, w_index) → acc + x · w: pixel p's value is
      x[index + p · pixel_stride], the weights are w[w_index : w_index + Q · WIDTH]
    - grow_twice(acc, x, index, row_stride, pixel_stride, w, w_index) → the same for a tile of two
      rows of P/2 pixels
    - halves(acc) → the accumulators of the first P/2 pixels and of the others: two `tile(P/2, Q)`
    - add_vector(acc, b, index) → acc with b[index : index + Q · WIDTH] added to every pixel
    - add(acc, r, index, pixel_stride) → acc with each pixel's own vectors of r added
    - add_part(acc, r, index, pixel_stride, channels) → the same, only so many channels being read
    - rectify(acc) → max(acc, 0)
    - store(acc, y, index, pixel_stride): write every pixel's vectors
    - store_part(acc, y, index, pixel_stride, channels): write only so many channels

    It is a module because names in modules are what Numba looks up while it compiles.
    """
    places = [(p, q) for p in range(P) for q in range(Q)]
    accumulators = types.UniTuple(Vector, P * Q)
    empty = ir.Constant(ir.ArrayType(VECTOR, P * Q), [ZERO] * (P * Q))

    @intrinsic
    def zero(_typing: Any) -> Any:
        return accumulators(), lambda _c, _b, _s, _given: empty

    def grow_over(b: ir.IRBuilder, acc: Any, *, w: Any, pixels: Any) -> Any:
        span_type, w_span, w_index = w
        weights = [
            emit_load(b, span_type, w_span, b.add(w_index, w_index.type(q * WIDTH)))
            for q in range(Q)
        ]
        for p, (x_type, x_span, x_index) in enumerate(pixels):
            value = emit_broadcast(b, x_type, x_span, x_index)
            for q in range(Q):
                place = p * Q + q
                grown = emit_fused(b, value, weights[q], b.extract_value(acc, place))
                acc = b.insert_value(acc, grown, place)
        return acc

    @intrinsic
    def grow(_typing: Any, acc: Any, x: Any, index: Any, stride: Any, w: Any, w_index: Any) -> Any:
        if not (accessible(x, element="float32") and accessible(w, element="float32")):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, x_, index_, stride_, w_, w_index_ = given
            pixels = [(x, x_, b.add(index_, b.mul(stride_, stride_.type(p)))) for p in range(P)]
            return grow_over(b, acc, w=(w, w_, w_index_), pixels=pixels)

        return accumulators(accumulators, x, I64, I64, w, I64), emit

    @intrinsic
    def grow_twice(
        _typing: Any, acc: Any, x: Any, index: Any, row: Any, stride: Any, w: Any, w_index: Any
    ) -> Any:
        if P % 2 or not (accessible(x, element="float32") and accessible(w, element="float32")):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, x_, index_, row_, stride_, w_, w_index_ = given
            pixels = []
            for p in range(P):
                r, column = divmod(p, P // 2)
                within = b.add(index_, b.mul(stride_, stride_.type(column)))
                pixels.append((x, x_, b.add(within, b.mul(row_, row_.type(r)))))
            return grow_over(b, acc, w=(w, w_, w_index_), pixels=pixels)

        return accumulators(accumulators, x, I64, I64, I64, w, I64), emit

    @intrinsic
    def halves(_typing: Any, acc: Any) -> Any:
        if P % 2:
            return None
        half = types.UniTuple(Vector, P * Q // 2)

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            values = [b.extract_value(given[0], place) for place in range(P * Q)]
            middle = len(values) // 2
            two = [context.make_tuple(b, half, v) for v in (values[:middle], values[middle:])]
            return context.make_tuple(b, types.Tuple((half, half)), two)

        return types.Tuple((half, half))(accumulators), emit

    def combined(b: ir.IRBuilder, acc: Any, place: int, value: Any) -> Any:
        return b.insert_value(acc, b.fadd(b.extract_value(acc, place), value), place)

    @intrinsic
    def add_vector(_typing: Any, acc: Any, v: Any, index: Any) -> Any:
        if not accessible(v, element="float32"):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, v_, index_ = given
            values = [emit_load(b, v, v_, b.add(index_, index_.type(q * WIDTH))) for q in range(Q)]
            for p, q in places:
                acc = combined(b, acc, p * Q + q, values[q])
            return acc

        return accumulators(accumulators, v, I64), emit

    def at(b: ir.IRBuilder, index: Any, stride: Any, p: int, q: int) -> Any:
        return b.add(b.add(index, b.mul(stride, stride.type(p))), index.type(q * WIDTH))

    def lanes(b: ir.IRBuilder, channels: Any, q: int) -> Any:
        """How many lanes of vector q lie within the channels: 0 … WIDTH."""
        left = b.sub(channels, channels.type(q * WIDTH))
        left = b.select(b.icmp_signed("<", left, left.type(0)), left.type(0), left)
        full = left.type(WIDTH)
        return b.select(b.icmp_signed(">", left, full), full, left)

    @intrinsic
    def add(_typing: Any, acc: Any, r: Any, index: Any, stride: Any) -> Any:
        if not accessible(r, element="float32"):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, r_, index_, stride_ = given
            for p, q in places:
                value = emit_load(b, r, r_, at(b, index_, stride_, p, q))
                acc = combined(b, acc, p * Q + q, value)
            return acc

        return accumulators(accumulators, r, I64, I64), emit

    @intrinsic
    def add_part(_typing: Any, acc: Any, r: Any, index: Any, stride: Any, channels: Any) -> Any:
        if not accessible(r, element="float32"):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, r_, index_, stride_, channels_ = given
            for p, q in places:
                place = at(b, index_, stride_, p, q)
                value = emit_load_part(b, r, r_, place, lanes(b, channels_, q))
                acc = combined(b, acc, p * Q + q, value)
            return acc

        return accumulators(accumulators, r, I64, I64, I64), emit

    @intrinsic
    def rectify(_typing: Any, acc: Any) -> Any:
        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            (acc,) = given
            for place in range(P * Q):
                value = b.extract_value(acc, place)
                positive = b.select(b.fcmp_ordered("<", value, ZERO), ZERO, value)
                acc = b.insert_value(acc, positive, place)
            return acc

        return accumulators(accumulators), emit

    @intrinsic
    def store(_typing: Any, acc: Any, y: Any, index: Any, stride: Any) -> Any:
        if not accessible(y, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, y_, index_, stride_ = given
            for p, q in places:
                value = b.extract_value(acc, p * Q + q)
                emit_store(b, y, y_, at(b, index_, stride_, p, q), value)
            return context.get_dummy_value()

        return types.void(accumulators, y, I64, I64), emit

    @intrinsic
    def store_part(_typing: Any, acc: Any, y: Any, index: Any, stride: Any, channels: Any) -> Any:
        if not accessible(y, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> Any:
            acc, y_, index_, stride_, channels_ = given
            for p, q in places:
                emit_store_part(
                    b,
                    y,
                    y_,
                    at(b, index_, stride_, p, q),
                    value=b.extract_value(acc, p * Q + q),
                    count=lanes(b, channels_, q),
                )
            return context.get_dummy_value()

        return types.void(accumulators, y, I64, I64, I64), emit

    operations = ModuleType(f"tile_{P}_{Q}")
    for one in (
        *(zero, grow, grow_twice, halves, add_vector, add, add_part),
        *(rectify, store, store_part),
    ):
        setattr(operations, one.__name__, one)
    return operations
