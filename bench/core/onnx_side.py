"""ONNX Runtime's side, at its defaults: `python onnx_side.py THREADS` (0: its own choice)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from side import Step, serve

THREADS = int(sys.argv[1])


def make(case: dict[str, Any]) -> tuple[Step, dict[str, Any]]:
    """Inference alone."""
    height, width, channels = case["shape"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        script = Path(__file__).with_name("onnx_export.py")
        subprocess.run([sys.executable, script, json.dumps(case), file], check=True)
        options = onnxruntime.SessionOptions()
        if THREADS:
            options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    x = np.random.default_rng(0).standard_normal((case["batch"], channels, height, width))
    feed = {name: x.astype(np.float32)}
    return lambda: session.run(None, feed), {}


serve(make)
