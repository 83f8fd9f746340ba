"""PyTorch, and what it takes to give both libraries the same weights, inputs and gradients.

A module that imports this is skipped where PyTorch is not installed.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from convnest_core import Array, Module, Run, build, zero_grad

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import has some of its own
    # Any: the type checker runs where PyTorch is not.
    torch: Any = pytest.importorskip("torch", reason="bench/setup installs PyTorch")


def to_torch(x: Array) -> Any:
    """A tensor of x, with channels first if it is a batch of images."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x))


def from_torch(tensor: Any) -> Array:
    """The values of a tensor, with channels last if it is a batch of images."""
    array: Array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def arrays(module: Any) -> dict[str, npt.NDArray[Any]]:
    """The state of a PyTorch module, as `load_state` takes it."""
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def difference(ours: Array, theirs: Array, *, least: float = 1e-30) -> float:
    """The largest difference, relative to the largest value (or to `least`, if that is more)."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    return float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), least))


def filled(module: Any, seed: int) -> Any:
    """`module` with random weights of a sound width; much quicker than PyTorch's own start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.ndim > 1:
                fan_in = tensor[0].numel()
                tensor.normal_(0, (2.0 / fan_in) ** 0.5, generator=generator)
            elif name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=generator)
    return module


def gradients(module: Module, x: Array, dy: Array, run: Run) -> tuple[Array, dict[str, Array]]:
    """y, and the gradients by name, x's own under "x"; weights' in the layout of their state."""
    zero_grad(module)
    y, backward = module.forward(x, run)
    found = {"x": backward(dy)}
    for name, parameter in module.parameters().items():
        found[name] = parameter.grad.transpose(parameter.stored_axes)
    return y, found


def torch_gradients(module: Any, x: Array, dy: Array) -> tuple[Array, dict[str, Array]]:
    """`gradients` of a PyTorch module."""
    given = to_torch(x).requires_grad_()
    y = module(given)
    y.backward(to_torch(dy))
    found = {"x": from_torch(given.grad)}
    for name, parameter in module.named_parameters():
        found[name] = parameter.grad.numpy()
    return from_torch(y), found


def built(
    module: Module,
    shape: tuple[int, ...],
    state: Mapping[str, npt.NDArray[Any]],
    *,
    dtype: str = "float32",
) -> Module:
    """`module` with the weights of `state`, which must be all of its own, and nothing else."""
    build(module, shape, seed=0, dtype=dtype)
    module.load_state(state)
    return module
