"""Evaluation: fused images scored, methods of fusion and of registration compared, and the tables of it.

Names are loaded when first used, so that the command line can offer it without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medfuse.evaluation.benchmark import benchmark_fusion
    from medfuse.evaluation.cases import FusedCase, read_cases
    from medfuse.evaluation.evaluate import evaluate_cases
    from medfuse.evaluation.options import BenchmarkOptions
    from medfuse.evaluation.registration_benchmark import benchmark_registration
    from medfuse.evaluation.registration_options import Cell, RegistrationBenchmarkOptions

__all__ = [
    "BenchmarkOptions",
    "Cell",
    "FusedCase",
    "RegistrationBenchmarkOptions",
    "benchmark_fusion",
    "benchmark_registration",
    "evaluate_cases",
    "read_cases",
]

_HOME = {
    "BenchmarkOptions": "medfuse.evaluation.options",
    "Cell": "medfuse.evaluation.registration_options",
    "FusedCase": "medfuse.evaluation.cases",
    "RegistrationBenchmarkOptions": "medfuse.evaluation.registration_options",
    "benchmark_fusion": "medfuse.evaluation.benchmark",
    "benchmark_registration": "medfuse.evaluation.registration_benchmark",
    "evaluate_cases": "medfuse.evaluation.evaluate",
    "read_cases": "medfuse.evaluation.cases",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        msg = f"module 'medfuse.evaluation' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
