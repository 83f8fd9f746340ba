"""How parts of a kernel are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

OPTIONS: Any = {  # Any: keyword arguments of several functions
    # No rule that lets a NaN vanish: training looks for them.
    "fastmath": {"contract", "nsz", "arcp"},
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    # Only kernels call them, and `compiler` makes the way in: a tenth less to compile.
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

#: For a function that kernels call; it stays one, so that its code exists once.
part = njit(inline="never", **OPTIONS)

#: For a function that kernels call and that becomes part of them: tiles stay in registers.
inlined = njit(inline="always", **OPTIONS)
