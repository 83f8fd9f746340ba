"""Generated kernels: SIMD machine code from Python, through Numba.

`functions` has what layers call, `planned` what plans call; `routing` decides which kernel a
convolution gets. What no kernel takes, NumPy's set computes. Importing the package brings nothing:
choosing a set must not cost what the set itself does.
"""
