"""A training's state as one safetensors file, with what it was computed with."""

import json
from pathlib import Path
from typing import Any

from convnest_core import fingerprint
from convnest_store.errors import BlobCorrupt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from convnest_worker.training import Arrays, TrainingState

SCHEMA_VERSION = 1
_PARTS = ("model", "optimizer", "best")


def write_checkpoint(state: TrainingState, path: Path) -> None:
    """Writes the file at `path`."""
    tensors = {
        f"{part}/{name}": array for part in _PARTS for name, array in getattr(state, part).items()
    }
    position = {name: value for name, value in vars(state).items() if name not in _PARTS}
    position["schema"] = SCHEMA_VERSION
    metadata = {"position": json.dumps(position), "fingerprint": json.dumps(fingerprint())}
    save_file(tensors, path, metadata=metadata)


def read_checkpoint(path: Path) -> TrainingState:
    """Raises BlobCorrupt where the file is not what `write_checkpoint` made."""
    try:
        with safe_open(path, framework="np") as file:
            position: dict[str, Any] = json.loads((file.metadata() or {})["position"])
            parts: dict[str, Arrays] = {part: {} for part in _PARTS}
            for full_name in file.keys():  # noqa: SIM118 (not a dict)
                part, name = full_name.split("/", 1)
                parts[part][name] = file.get_tensor(full_name)
        if position.pop("schema") != SCHEMA_VERSION:
            raise BlobCorrupt("the checkpoint was written by another version of ConvNest")
        arrays: dict[str, Any] = parts
        return TrainingState(**position, **arrays)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BlobCorrupt(f"unreadable checkpoint: {error}") from error


def differences(path: Path) -> dict[str, tuple[str, str]]:
    """Where this process computes otherwise than the one that wrote a checkpoint: theirs, ours.

    Empty: going on from it gives the bits of a training that was never interrupted.
    """
    with safe_open(path, framework="np") as file:
        theirs: dict[str, str] = json.loads((file.metadata() or {}).get("fingerprint", "{}"))
    ours = fingerprint()
    return {
        name: (theirs[name], ours.get(name, "unknown"))
        for name in theirs
        if theirs[name] != ours.get(name)
    }
