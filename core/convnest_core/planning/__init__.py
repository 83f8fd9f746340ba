"""Networks compiled for inference: see `plan`."""

from .compiled import Plan, plan
from .program import Layer

__all__ = ["Layer", "Plan", "plan"]
