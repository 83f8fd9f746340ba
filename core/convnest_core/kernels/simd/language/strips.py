"""The strip: several vectors side by side, handled as one value, for kernels that stream memory.

One load, one multiplication and one store a vector leave a core waiting for each of them; with Q
vectors at a time it always has another one to go on with. A strip may reach beyond its row's end:
`read` and `write` are told how many elements are left, and touch no more.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .memory import Access, accessible
from .vectors import (
    VECTOR,
    WIDTH,
    ZERO,
    Vector,
    emit_fused,
    emit_load,
    emit_load_part,
    emit_splat,
    emit_square_root,
    emit_store,
    emit_store_part,
)

I64 = types.int64
_DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)
_INTEGERS = ir.VectorType(ir.IntType(32), WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)
_NO_BYTES = ir.Constant(_BYTES, [0] * WIDTH)
_FIRST = ir.IntType(32)(0)
_ALL_FIRST = ir.Constant(_INTEGERS, [0] * WIDTH)


def strip(Q: int) -> ModuleType:
    """The operations on Q vectors, by name; indices and counts are of elements.

    - zero(), splat(number) → v
    - read(span, index, count) → v: the elements from `index` on, zero beyond `count`
    - write(span, index, count, v): the first `count` elements
    - tally(doubles, index, v): doubles[index : index + Q · WIDTH] += v, all of it
    - plus(v, u), minus(v, u), times(v, u), fused(v, u, t) = v · u + t
    - divided(v, u), square_root(v), rectified(v) = max(v, 0); NaN stays NaN
    - where_positive(v, u): u where v > 0, else zero
    - where_larger(v, u, then, otherwise): `then` where v > u or v is NaN, else `otherwise`
    - where_byte(bytes, index, number, v): v where the byte of the same place is `number`, else zero
    - write_bytes(bytes, index, v): v's whole numbers, Q · WIDTH of them, as a byte each

    It is a module because names in modules are what Numba looks up while it compiles.
    """
    strip_type = types.UniTuple(Vector, Q)
    shape = ir.ArrayType(VECTOR, Q)
    empty = ir.Constant(shape, [ZERO] * Q)

    def lifted(inputs: int, one: Callable[..., ir.Value]) -> Any:
        """An operation on each of the Q vectors, from one on a single vector."""

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            result = empty
            for q in range(Q):
                result = b.insert_value(result, one(b, *(b.extract_value(v, q) for v in given)), q)
            return result

        signature = strip_type(*[strip_type] * inputs)

        def of_one(_typing: Any, v: Any) -> Any:
            return signature, emit

        def of_two(_typing: Any, v: Any, u: Any) -> Any:
            return signature, emit

        def of_three(_typing: Any, v: Any, u: Any, t: Any) -> Any:
            return signature, emit

        def of_four(_typing: Any, v: Any, u: Any, t: Any, w: Any) -> Any:
            return signature, emit

        # It looks at their parameters.
        return intrinsic((of_one, of_two, of_three, of_four)[inputs - 1])

    def place(b: ir.IRBuilder, index: ir.Value, q: int) -> ir.Value:
        return b.add(index, index.type(q * WIDTH))

    def left(b: ir.IRBuilder, count: ir.Value, q: int) -> ir.Value:
        """How many of vector q's lanes lie before the end: 0 … WIDTH."""
        rest = b.sub(count, count.type(q * WIDTH))
        rest = b.select(b.icmp_signed("<", rest, rest.type(0)), rest.type(0), rest)
        full = rest.type(WIDTH)
        return b.select(b.icmp_signed(">", rest, full), full, rest)

    def is_whole(b: ir.IRBuilder, count: ir.Value) -> ir.Value:
        return b.icmp_signed(">=", count, count.type(Q * WIDTH))

    @intrinsic
    def zero(_typing: Any) -> Any:
        return strip_type(), lambda _c, _b, _s, _given: empty

    @intrinsic
    def read(_typing: Any, span: Any, index: Any, count: Any) -> Any:
        if not accessible(span, element="float32"):
            return None

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            span_, index_, count_ = given
            with b.if_else(is_whole(b, count_)) as (whole, partly):
                with whole:
                    all_lanes: Any = empty
                    for q in range(Q):
                        vector = emit_load(b, span, span_, place(b, index_, q))
                        all_lanes = b.insert_value(all_lanes, vector, q)
                    from_whole = b.block
                with partly:
                    some_lanes: Any = empty
                    for q in range(Q):
                        at, count = place(b, index_, q), left(b, count_, q)
                        vector = emit_load_part(b, span, span_, at, count)
                        some_lanes = b.insert_value(some_lanes, vector, q)
                    from_partly = b.block
            result = b.phi(shape)
            result.add_incoming(all_lanes, from_whole)
            result.add_incoming(some_lanes, from_partly)
            return result

        return strip_type(span, I64, I64), emit

    @intrinsic
    def write(_typing: Any, span: Any, index: Any, count: Any, v: Any) -> Any:
        if not accessible(span, element="float32", writable=True):
            return None

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            span_, index_, count_, v_ = given
            vectors = [b.extract_value(v_, q) for q in range(Q)]
            with b.if_else(is_whole(b, count_)) as (whole, partly):
                with whole:
                    for q, vector in enumerate(vectors):
                        emit_store(b, span, span_, place(b, index_, q), vector)
                with partly:
                    for q, vector in enumerate(vectors):
                        at, count = place(b, index_, q), left(b, count_, q)
                        emit_store_part(b, span, span_, at, value=vector, count=count)
            return context.get_dummy_value()

        return types.void(span, I64, I64, strip_type), emit

    @intrinsic
    def tally(_typing: Any, span: Any, index: Any, v: Any) -> Any:
        if not accessible(span, element="float64", writable=True):
            return None
        access = Access(span)

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            span_, index_, v_ = given
            for q in range(Q):
                at = place(b, index_, q)
                vector = b.fpext(b.extract_value(v_, q), _DOUBLES)

                def add(at: Any = at, vector: Any = vector) -> ir.Value:
                    where = b.bitcast(access.place(b, span_, at), _DOUBLES.as_pointer())
                    return b.store(b.fadd(b.load(where, align=8), vector), where, align=8)

                access.guarded(b, span_, at, count=at.type(WIDTH), access=add, otherwise=None)
            return context.get_dummy_value()

        return types.void(span, I64, strip_type), emit

    @intrinsic
    def splat(_typing: Any, number: Any) -> Any:
        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            result = empty
            for q in range(Q):
                result = b.insert_value(result, emit_splat(b, given[0]), q)
            return result

        return strip_type(types.float32), emit

    @intrinsic
    def where_byte(_typing: Any, span: Any, index: Any, number: Any, v: Any) -> Any:
        if not accessible(span, element="uint8"):
            return None
        access = Access(span)

        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            span_, index_, number_, v_ = given
            undefined = ir.Constant(_BYTES, ir.Undefined)
            first = b.insert_element(undefined, b.trunc(number_, ir.IntType(8)), _FIRST)
            wanted = b.shuffle_vector(first, undefined, _ALL_FIRST)
            result = empty
            for q in range(Q):
                at = place(b, index_, q)

                def load(at: Any = at) -> ir.Value:
                    where = b.bitcast(access.place(b, span_, at), _BYTES.as_pointer())
                    return b.load(where, align=1)

                found = access.guarded(
                    b, span_, at, count=at.type(WIDTH), access=load, otherwise=_NO_BYTES
                )
                same = b.icmp_unsigned("==", found, wanted)
                result = b.insert_value(result, b.select(same, b.extract_value(v_, q), ZERO), q)
            return result

        return strip_type(span, I64, I64, strip_type), emit

    @intrinsic
    def write_bytes(_typing: Any, span: Any, index: Any, v: Any) -> Any:
        if not accessible(span, element="uint8", writable=True):
            return None
        access = Access(span)

        def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            span_, index_, v_ = given
            for q in range(Q):
                at = place(b, index_, q)
                numbers = b.fptosi(b.extract_value(v_, q), _INTEGERS)
                narrow = b.trunc(numbers, _BYTES)

                def store(at: Any = at, narrow: Any = narrow) -> ir.Value:
                    where = b.bitcast(access.place(b, span_, at), _BYTES.as_pointer())
                    return b.store(narrow, where, align=1)

                access.guarded(b, span_, at, count=at.type(WIDTH), access=store, otherwise=None)
            return context.get_dummy_value()

        return types.void(span, I64, strip_type), emit

    def larger(b: ir.IRBuilder, v: Any, u: Any, then: Any, otherwise: Any) -> ir.Value:
        # "Not at most" would hold for a NaN in u, too, and give it away.
        is_larger = b.or_(b.fcmp_ordered(">", v, u), b.fcmp_unordered("uno", v, v))
        return b.select(is_larger, then, otherwise)

    def positive(b: ir.IRBuilder, v: ir.Value, u: ir.Value) -> ir.Value:
        return b.select(b.fcmp_ordered(">", v, ZERO), u, ZERO)

    operations = ModuleType(f"strip_{Q}")
    named = {
        "zero": zero,
        "splat": splat,
        "read": read,
        "write": write,
        "tally": tally,
        "plus": lifted(2, lambda b, v, u: b.fadd(v, u)),
        "minus": lifted(2, lambda b, v, u: b.fsub(v, u)),
        "times": lifted(2, lambda b, v, u: b.fmul(v, u)),
        "divided": lifted(2, lambda b, v, u: b.fdiv(v, u)),
        "fused": lifted(3, emit_fused),
        "square_root": lifted(1, emit_square_root),
        "rectified": lifted(1, lambda b, v: b.select(b.fcmp_ordered("<", v, ZERO), ZERO, v)),
        "where_positive": lifted(2, positive),
        "where_larger": lifted(4, larger),
        "where_byte": where_byte,
        "write_bytes": write_bytes,
    }
    for name, operation in named.items():
        setattr(operations, name, operation)
    return operations
