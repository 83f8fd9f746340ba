"""Memory as kernels see it: typed spans, read-only or writable, addressed by element.

A span is an address. In a checked build it also carries its length and a place for the first
violation, and every access looks: what lies outside reads as zero, is not written, and is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from convnest_core.kernels.simd.machine import CHECKED

I64 = ir.IntType(64)
_ELEMENTS = {
    "float32": (ir.FloatType(), types.float32, 4),
    "float64": (ir.DoubleType(), types.float64, 8),
    "uint8": (ir.IntType(8), types.int64, 1),
}
_SPAN = ir.LiteralStructType([I64, I64, I64]) if CHECKED else I64  # address, length, record


class Span(types.Type):  # type: ignore[misc] # Numba has no types
    """Numba's type of a span; `writable` ones may be stored to."""

    def __init__(self, element: str, *, writable: bool) -> None:
        self.element, self.writable = element, writable
        super().__init__(name=f"Span({element}, {'out' if writable else 'in'})")


@register_model(Span)
class _SpanModel(models.PrimitiveModel):  # type: ignore[misc] # Numba has no types
    def __init__(self, manager: Any, span: Any) -> None:  # Numba's own
        super().__init__(manager, span, _SPAN)


Floats, FloatsOut = Span("float32", writable=False), Span("float32", writable=True)
Doubles, DoublesOut = Span("float64", writable=False), Span("float64", writable=True)
Bytes, BytesOut = Span("uint8", writable=False), Span("uint8", writable=True)


@dataclass(frozen=True)
class Access:
    """How intrinsics emit loads and stores of `count` elements of one span type."""

    span: Span

    def place(self, b: ir.IRBuilder, span: ir.Value, index: ir.Value) -> ir.Value:
        """A pointer to an element."""
        element, _, _ = _ELEMENTS[self.span.element]
        address = b.extract_value(span, 0) if CHECKED else span
        return b.gep(b.inttoptr(address, element.as_pointer()), [index])

    def guarded(
        self,
        b: ir.IRBuilder,
        span: ir.Value,
        index: ir.Value,
        *,
        count: ir.Value,
        access: Callable[[], ir.Value],
        otherwise: ir.Constant | None,
    ) -> ir.Value:
        """What `access` emits, in a checked build only where all `count` elements are inside."""
        if not CHECKED:
            return access()
        end = b.add(index, count)
        length = b.extract_value(span, 1)
        inside = b.and_(b.icmp_signed(">=", index, I64(0)), b.icmp_signed("<=", end, length))
        inside = b.or_(inside, b.icmp_signed("<=", count, I64(0)))
        with b.if_else(inside) as (then, otherwise_block):
            with then:
                value = access()
                from_then = b.block
            with otherwise_block:
                record = b.inttoptr(b.extract_value(span, 2), I64.as_pointer())
                for place, what in enumerate((I64(1), index, length)):
                    b.store(what, b.gep(record, [I64(place)]))
                from_else = b.block
        if otherwise is None:
            return value
        chosen = b.phi(otherwise.type)
        chosen.add_incoming(value, from_then)
        chosen.add_incoming(otherwise, from_else)
        return chosen


def accessible(span: Any, *, element: str | None = None, writable: bool = False) -> bool:
    """Whether a Numba type is such a span."""
    return (
        isinstance(span, Span)
        and (element is None or span.element == element)
        and (span.writable or not writable)
    )


@intrinsic
def get(_typing: Any, span: Any, index: Any) -> Any:
    """One element of any span: float32, float64, or a byte as an integer."""
    if not accessible(span):
        return None
    element, number, size = _ELEMENTS[span.element]

    def emit(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> ir.Value:
        access = Access(span)

        def load() -> ir.Value:
            value = b.load(access.place(b, *given), align=size)
            return b.zext(value, I64) if size == 1 else value

        zero = ir.Constant(I64 if size == 1 else element, 0)
        return access.guarded(b, *given, count=I64(1), access=load, otherwise=zero)

    return number(span, types.int64), emit


@intrinsic
def put(_typing: Any, span: Any, index: Any, value: Any) -> Any:
    """Write one element."""
    if not accessible(span, writable=True):
        return None
    element, number, size = _ELEMENTS[span.element]

    def emit(context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> ir.Value:
        span_, index_, value_ = given
        access = Access(span)

        def store() -> ir.Value:
            narrow = b.trunc(value_, element) if size == 1 else value_
            return b.store(narrow, access.place(b, span_, index_), align=size)

        access.guarded(b, span_, index_, count=I64(1), access=store, otherwise=None)
        return context.get_dummy_value()

    return types.void(span, types.int64, number), emit


@intrinsic
def is_given(_typing: Any, span: Any) -> Any:
    """Whether an optional span was passed, not None."""
    if not accessible(span):
        return None

    def emit(_context: Any, b: ir.IRBuilder, _signature: Any, given: Any) -> ir.Value:
        address = b.extract_value(given[0], 0) if CHECKED else given[0]
        return b.icmp_unsigned("!=", address, I64(0))

    return types.boolean(span), emit


@intrinsic
def reading(_typing: Any, span: Any) -> Any:
    """The same memory, only to be read: so that one compiled part serves inputs and scratch."""
    if not accessible(span):
        return None
    return Span(span.element, writable=False)(span), lambda _c, _b, _s, given: given[0]


def spans_of(block: ir.Value, b: ir.IRBuilder, slot: int) -> ir.Value:
    """The span that a call's block of 64-bit words holds from `slot` on; slot 0 is the record."""
    words = b.inttoptr(block, I64.as_pointer())
    address = b.load(b.gep(words, [I64(slot)]))
    if not CHECKED:
        return address
    span = ir.Constant(_SPAN, ir.Undefined)
    length = b.load(b.gep(words, [I64(slot + 1)]))
    for place, word in enumerate((address, length, b.load(words))):
        span = b.insert_value(span, word, place)
    return span
