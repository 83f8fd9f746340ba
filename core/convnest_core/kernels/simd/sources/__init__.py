"""The kernels themselves. Each function is compiled by `compiler`; `native` calls it."""
