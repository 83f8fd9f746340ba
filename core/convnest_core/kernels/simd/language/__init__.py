"""The vocabulary in which kernels are written: vectors, and memory that they are loaded from.

Numba compiles functions over these types to machine code; nothing here runs as Python. Importing
it imports Numba, so only the compiler does.
"""

from .functions import OPTIONS, part
from .memory import Bytes, BytesOut, Doubles, DoublesOut, Floats, FloatsOut, get, is_given, put
from .strips import strip
from .tiles import tile
from .vectors import (
    BLOCK,
    PIXELS,
    VECTORS,
    WIDTH,
    Vector,
    broadcast,
    first_lanes,
    fused,
    greater,
    load,
    load_part,
    lowest,
    maximum,
    minimum,
    reciprocal,
    rectified,
    splat,
    square_root,
    store,
    store_part,
    total,
    transpose,
    where_positive,
    zero,
)

__all__ = [
    "BLOCK",
    "OPTIONS",
    "PIXELS",
    "VECTORS",
    "WIDTH",
    "Bytes",
    "BytesOut",
    "Doubles",
    "DoublesOut",
    "Floats",
    "FloatsOut",
    "Vector",
    "broadcast",
    "first_lanes",
    "fused",
    "get",
    "greater",
    "is_given",
    "load",
    "load_part",
    "lowest",
    "maximum",
    "minimum",
    "part",
    "put",
    "reciprocal",
    "rectified",
    "splat",
    "square_root",
    "store",
    "store_part",
    "strip",
    "tile",
    "total",
    "transpose",
    "where_positive",
    "zero",
]
