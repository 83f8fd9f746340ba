"""A vector of float32 as wide as the CPU's best registers, and what can be done with one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

from convnest_core.kernels.simd.machine import machine

from .memory import I64, Access, accessible

_found = machine()
assert _found is not None, "kernels are compiled only where `machine` found how"
WIDTH = _found.width
PIXELS, VECTORS, BLOCK = _found.pixels, _found.vectors, _found.block
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, WIDTH)
ZERO = ir.Constant(VECTOR, [0.0] * WIDTH)
_I32 = ir.IntType(32)
_LANES = ir.Constant(ir.VectorType(_I32, WIDTH), list(range(WIDTH)))
_MASK = ir.VectorType(ir.IntType(1), WIDTH)

Emit = Callable[[Any, ir.IRBuilder, Any, Any], ir.Value]


class VectorType(types.Type):  # type: ignore[misc] # Numba has no types
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector({WIDTH})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc] # Numba has no types
    def __init__(self, manager: Any, kind: Any) -> None:  # Numba's own
        super().__init__(manager, kind, VECTOR)


Vector = VectorType()


def emit_splat(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A vector that holds `value` in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = b.insert_element(undefined, value, _I32(0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH))


def emit_load(b: ir.IRBuilder, span_type: Any, span: ir.Value, index: ir.Value) -> ir.Value:
    """The vector that begins at an element; it need not be aligned."""
    access = Access(span_type)

    def load() -> ir.Value:
        place = b.bitcast(access.place(b, span, index), VECTOR.as_pointer())
        return b.load(place, align=4)

    return access.guarded(b, span, index, count=I64(WIDTH), access=load, otherwise=ZERO)


def emit_broadcast(b: ir.IRBuilder, span_type: Any, span: ir.Value, index: ir.Value) -> ir.Value:
    """One element in every lane."""
    access = Access(span_type)
    value = access.guarded(
        b,
        span,
        index,
        count=I64(1),
        access=lambda: b.load(access.place(b, span, index), align=4),
        otherwise=ir.Constant(FLOAT, 0.0),
    )
    return emit_splat(b, value)


def emit_store(
    b: ir.IRBuilder, span_type: Any, span: ir.Value, index: ir.Value, value: ir.Value
) -> None:
    """Write a vector from an element on."""
    access = Access(span_type)

    def store() -> ir.Value:
        place = b.bitcast(access.place(b, span, index), VECTOR.as_pointer())
        return b.store(value, place, align=4)

    access.guarded(b, span, index, count=I64(WIDTH), access=store, otherwise=None)


def emit_fused(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """x · y + z with one rounding."""
    fma = _llvm(b, f"llvm.fma.v{WIDTH}f32", VECTOR, [VECTOR] * 3)
    return b.call(fma, [x, y, z])


def emit_square_root(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """√x, correctly rounded."""
    return b.call(_llvm(b, f"llvm.sqrt.v{WIDTH}f32", VECTOR, [VECTOR]), [x])


def emit_mask(b: ir.IRBuilder, count: ir.Value) -> ir.Value:
    """The first `count` lanes."""
    lanes = b.trunc(count, _I32)
    undefined = ir.Constant(_LANES.type, ir.Undefined)
    many = b.shuffle_vector(
        b.insert_element(undefined, lanes, _I32(0)),
        undefined,
        ir.Constant(_LANES.type, [0] * WIDTH),
    )
    return b.icmp_signed("<", _LANES, many)


def emit_load_part(
    b: ir.IRBuilder, span_type: Any, span: ir.Value, index: ir.Value, count: ir.Value
) -> ir.Value:
    """The first `count` lanes from memory, the others zero; nothing beyond them is touched."""
    access = Access(span_type)

    def load() -> ir.Value:
        place = b.bitcast(access.place(b, span, index), VECTOR.as_pointer())
        masked = _llvm(
            b,
            f"llvm.masked.load.v{WIDTH}f32.p0v{WIDTH}f32",
            VECTOR,
            [VECTOR.as_pointer(), _I32, _MASK, VECTOR],
        )
        return b.call(masked, [place, _I32(4), emit_mask(b, count), ZERO])

    return access.guarded(b, span, index, count=count, access=load, otherwise=ZERO)


def emit_store_part(
    b: ir.IRBuilder,
    span_type: Any,
    span: ir.Value,
    index: ir.Value,
    *,
    value: ir.Value,
    count: ir.Value,
) -> None:
    """Write the first `count` lanes and nothing else."""
    access = Access(span_type)

    def store() -> ir.Value:
        place = b.bitcast(access.place(b, span, index), VECTOR.as_pointer())
        masked = _llvm(
            b,
            f"llvm.masked.store.v{WIDTH}f32.p0v{WIDTH}f32",
            ir.VoidType(),
            [VECTOR, VECTOR.as_pointer(), _I32, _MASK],
        )
        return b.call(masked, [value, place, _I32(4), emit_mask(b, count)])

    access.guarded(b, span, index, count=count, access=store, otherwise=None)


def _llvm(b: ir.IRBuilder, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


@intrinsic
def zero(_typing: Any) -> Any:
    """A vector of zeros."""
    return Vector(), lambda _c, _b, _s, _given: ZERO


@intrinsic
def lowest(_typing: Any) -> Any:
    """A vector of -∞: what any maximum begins with."""
    low = ir.Constant(VECTOR, [float("-inf")] * WIDTH)
    return Vector(), lambda _c, _b, _s, _given: low


@intrinsic
def splat(_typing: Any, value: Any) -> Any:
    """A number in every lane."""
    return Vector(types.float32), lambda _c, b, _s, given: emit_splat(b, *given)


@intrinsic
def load(_typing: Any, span: Any, index: Any) -> Any:
    """The vector of `WIDTH` elements from `index` on."""
    if not accessible(span, element="float32"):
        return None
    return (
        Vector(span, types.int64),
        lambda _c, b, _s, given: emit_load(b, span, *given),
    )


@intrinsic
def load_part(_typing: Any, span: Any, index: Any, count: Any) -> Any:
    """The first `count` lanes from memory, the others zero."""
    if not accessible(span, element="float32"):
        return None
    return (
        Vector(span, types.int64, types.int64),
        lambda _c, b, _s, given: emit_load_part(b, span, *given),
    )


@intrinsic
def broadcast(_typing: Any, span: Any, index: Any) -> Any:
    """One element in every lane."""
    if not accessible(span, element="float32"):
        return None
    return (
        Vector(span, types.int64),
        lambda _c, b, _s, given: emit_broadcast(b, span, *given),
    )


@intrinsic
def store(_typing: Any, span: Any, index: Any, value: Any) -> Any:
    """Write all lanes from `index` on."""
    if not accessible(span, element="float32", writable=True):
        return None

    def emit(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> ir.Value:
        emit_store(b, span, *given)
        return context.get_dummy_value()

    return types.void(span, types.int64, Vector), emit


@intrinsic
def store_part(_typing: Any, span: Any, index: Any, value: Any, count: Any) -> Any:
    """Write the first `count` lanes."""
    if not accessible(span, element="float32", writable=True):
        return None

    def emit(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> ir.Value:
        span_, index_, value_, count_ = given
        emit_store_part(b, span, span_, index_, value=value_, count=count_)
        return context.get_dummy_value()

    return types.void(span, types.int64, Vector, types.int64), emit


@intrinsic
def fused(_typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x · y + z with one rounding."""
    return (
        Vector(Vector, Vector, Vector),
        lambda _c, b, _s, given: emit_fused(b, *given),
    )


def _arithmetic(instruction: str) -> Any:
    @intrinsic
    def two(_typing: Any, x: Any, y: Any) -> Any:
        return (
            Vector(Vector, Vector),
            lambda _c, b, _s, given: getattr(b, instruction)(*given),
        )

    return two


def _operator(symbol: Any, instruction: str) -> None:
    two = _arithmetic(instruction)

    @overload(symbol)
    def choose(x, y):  # Numba compares its signature with the lambda's, which has no types
        return (lambda x, y: two(x, y)) if x is Vector and y is Vector else None


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_symbol, _instruction)


def _picked(comparison: str) -> Any:
    @intrinsic
    def two(_typing: Any, x: Any, y: Any) -> Any:
        def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
            x_, y_ = given
            return b.select(b.fcmp_ordered(comparison, x_, y_), x_, y_)

        return Vector(Vector, Vector), emit

    return two


maximum = _picked(">")
"""Lane by lane x where x > y, else y (so y where either is NaN)."""
minimum = _picked("<")
"""Lane by lane x where x < y, else y."""


@intrinsic
def rectified(_typing: Any, x: Any) -> Any:
    """max(x, 0); NaN stays NaN."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        return b.select(b.fcmp_ordered("<", given[0], ZERO), ZERO, given[0])

    return Vector(Vector), emit


@intrinsic
def where_positive(_typing: Any, x: Any, y: Any, z: Any) -> Any:
    """y where x > 0, else z."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        x_, y_, z_ = given
        return b.select(b.fcmp_ordered(">", x_, ZERO), y_, z_)

    return Vector(Vector, Vector, Vector), emit


@intrinsic
def greater(_typing: Any, x: Any, y: Any, then: Any, otherwise: Any) -> Any:
    """`then` where x > y, else `otherwise`."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        x_, y_, then_, otherwise_ = given
        return b.select(b.fcmp_ordered(">", x_, y_), then_, otherwise_)

    return Vector(Vector, Vector, Vector, Vector), emit


@intrinsic
def first_lanes(_typing: Any, value: Any, count: Any) -> Any:
    """`value` in the first `count` lanes, zero in the others."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        value_, count_ = given
        return b.select(emit_mask(b, count_), value_, ZERO)

    return Vector(Vector, types.int64), emit


@intrinsic
def square_root(_typing: Any, x: Any) -> Any:
    """√x, correctly rounded."""
    return Vector(Vector), lambda _c, b, _s, given: emit_square_root(b, *given)


@intrinsic
def reciprocal(_typing: Any, x: Any) -> Any:
    """1 / x, correctly rounded."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        return b.fdiv(ir.Constant(VECTOR, [1.0] * WIDTH), given[0])

    return Vector(Vector), emit


@intrinsic
def total(_typing: Any, x: Any) -> Any:
    """The sum of all lanes, pairwise."""

    def emit(_c: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        reduce = _llvm(b, f"llvm.vector.reduce.fadd.v{WIDTH}f32", FLOAT, [FLOAT, VECTOR])
        start = ir.Constant(FLOAT, -0.0)
        return b.call(reduce, [start, given[0]], fastmath=("reassoc",))

    return types.float32(Vector), emit


@intrinsic
def transpose(_typing: Any, x: Any, i: Any, row: Any, y: Any, j: Any, column: Any) -> Any:
    """WIDTH vectors of x, `row` apart from i on, to the columns of WIDTH of y's, `column` apart."""
    if not (accessible(x, element="float32") and accessible(y, element="float32", writable=True)):
        return None
    half = WIDTH // 2
    lanes = [[start + k // 2 + k % 2 * WIDTH for k in range(WIDTH)] for start in (0, half)]
    first, second = (ir.Constant(ir.VectorType(_I32, WIDTH), order) for order in lanes)

    def emit(context: Any, b: ir.IRBuilder, _s: Any, given: Any) -> ir.Value:
        x_, i_, row_, y_, j_, column_ = given
        rows = [emit_load(b, x, x_, b.add(i_, b.mul(row_, row_.type(k)))) for k in range(WIDTH)]
        # Each pass interleaves vectors half a square apart; log2(WIDTH) of them transpose it.
        for _ in range(WIDTH.bit_length() - 1):
            pairs = list(zip(rows[:half], rows[half:], strict=True))
            rows = [b.shuffle_vector(*pair, order) for pair in pairs for order in (first, second)]
        for k, value in enumerate(rows):
            emit_store(b, y, y_, b.add(j_, b.mul(column_, column_.type(k))), value)
        return context.get_dummy_value()

    return types.void(x, *[types.int64] * 2, y, *[types.int64] * 2), emit
