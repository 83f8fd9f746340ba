"""Writes a network as ONNX: `python onnx_export.py CASE FILE`, in a process of its own.

Its memory is then not counted as ONNX Runtime's.
"""

from __future__ import annotations

import json
import sys
import warnings

import torch
from convnest_core import build, network
from torch_network import in_torch

case = json.loads(sys.argv[1])
module = network({"name": case["network"], "options": case["options"]}, classes=case["classes"])
height, width, channels = case["shape"]
build(module, (height, width, channels), seed=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the exporter without a further dependency is the older one
    torch.onnx.export(
        in_torch(module).eval(),
        (torch.zeros(case["batch"], channels, height, width),),
        sys.argv[2],
        dynamo=False,
    )
