"""Optimisers, parameter groups and curves of progress."""

from unlabel.optim.lars import LARS
from unlabel.optim.plan import Plan, make_optimiser

__all__ = ["LARS", "Plan", "make_optimiser"]
