"""Networks compiled for inference: see `plan`."""

from .compiled import Layer, Plan, plan

__all__ = ["Layer", "Plan", "plan"]
