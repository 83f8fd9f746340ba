"""How long a network takes to compile: `python compile_time.py CASE` prints the median seconds."""

from __future__ import annotations

import json
import statistics
import sys
import time

from convnest_core import build, keep_freed_memory, network, plan, single_blas_thread

case = json.loads(sys.argv[1])
single_blas_thread()
keep_freed_memory()
module = network({"name": case["network"], "options": case["options"]}, classes=case["classes"])
shape = tuple(case["shape"])
build(module, shape, seed=0)
times = []
for _ in range(5):
    begin = time.perf_counter()
    plan(module, shape, max_batch=case["batch"])
    times.append(time.perf_counter() - begin)
print(json.dumps(statistics.median(times)))
