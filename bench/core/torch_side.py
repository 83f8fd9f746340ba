"""PyTorch's side: `python torch_side.py LAYOUT THREADS`, the layout contiguous or channels_last."""

from __future__ import annotations

import sys
from typing import Any

import torch
from convnest_core import build, network
from side import Step, serve
from torch import nn
from torch_network import folded, in_torch

LAYOUT = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[sys.argv[1]]
THREADS = int(sys.argv[2])


def make(case: dict[str, Any]) -> tuple[Step, dict[str, Any]]:
    """BatchNorm is folded for inference."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    module = network({"name": case["network"], "options": case["options"]}, classes=case["classes"])
    height, width, channels = case["shape"]
    build(module, (height, width, channels), seed=0)
    model = in_torch(module)
    del module
    x = torch.randn(case["batch"], channels, height, width).to(memory_format=LAYOUT)
    if case["kind"] == "inference":
        model = folded(model.eval()).to(memory_format=LAYOUT)

        def infer() -> object:
            with torch.inference_mode():
                return model(x)

        return infer, {}
    model = model.train().to(memory_format=LAYOUT)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    labels = torch.arange(case["batch"]) % case["classes"]

    def train() -> object:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train, {}


serve(make)
