"""Evaluation: fused images scored, methods of fusion and of registration compared, and the tables of it.

Names are loaded when first used, so that the command line can offer it without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medfuse.extras import public_name

if TYPE_CHECKING:
    from medfuse.evaluation.benchmark import benchmark_fusion
    from medfuse.evaluation.cases import FusedCase, read_cases
    from medfuse.evaluation.evaluate import evaluate_cases
    from medfuse.evaluation.options import BenchmarkOptions
    from medfuse.evaluation.registration_benchmark import benchmark_registration
    from medfuse.evaluation.registration_options import Cell, RegistrationBenchmarkOptions
    from medfuse.evaluation.speed import SpeedOptions, benchmark_speed

__all__ = [
    "BenchmarkOptions",
    "Cell",
    "FusedCase",
    "RegistrationBenchmarkOptions",
    "SpeedOptions",
    "benchmark_fusion",
    "benchmark_registration",
    "benchmark_speed",
    "evaluate_cases",
    "read_cases",
]

_HOME = {
    "BenchmarkOptions": "medfuse.evaluation.options",
    "Cell": "medfuse.evaluation.registration_options",
    "FusedCase": "medfuse.evaluation.cases",
    "RegistrationBenchmarkOptions": "medfuse.evaluation.registration_options",
    "SpeedOptions": "medfuse.evaluation.speed",
    "benchmark_fusion": "medfuse.evaluation.benchmark",
    "benchmark_registration": "medfuse.evaluation.registration_benchmark",
    "benchmark_speed": "medfuse.evaluation.speed",
    "evaluate_cases": "medfuse.evaluation.evaluate",
    "read_cases": "medfuse.evaluation.cases",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    return public_name(__name__, _HOME, name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
