"""Limited-memory BFGS in plain numpy: the same bits on every number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Objective: TypeAlias = Callable[[Vector], tuple[float, Vector]]

_MEMORY = 8
_SUFFICIENT = 1e-4
_MOST_HALVINGS = 8


def descend(
    objective: Objective,
    start: Vector,
    first_step: float,
    iterations: int,
    tolerance: float = 1e-5,
    last_step: float = 0.0,
) -> Vector:
    """Go down from a start to a minimum nearby.

    Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 1980, with a line
    search that halves the step until the value has dropped enough.

    Args:
        objective: returns the value at a point and the gradient there.
        start: any shape.
        first_step: the most that the first step may change a coordinate.
        iterations: the most steps.
        tolerance: stop once a step lowers the value by less.
        last_step: stop once a step changes no coordinate by more.

    Returns:
        The lowest point that was reached.
    """
    point, (value, gradient) = start, objective(start)
    history: list[tuple[Vector, Vector, float]] = []
    for _ in range(iterations):
        largest = float(np.abs(gradient).max())
        if largest == 0.0:
            break
        direction = -gradient * (first_step / largest) if not history else -_inverse_hessian(gradient, history)
        step = _line_search(objective, point, value, direction, dot(direction, gradient))
        if step is None:
            break
        new_point, new_value, new_gradient = step
        moved, turned = new_point - point, new_gradient - gradient
        if dot(moved, turned) > 0.0:
            history = [*history[-_MEMORY + 1 :], (moved, turned, 1.0 / dot(moved, turned))]
        gain = value - new_value
        point, value, gradient = new_point, new_value, new_gradient
        if gain < tolerance or float(np.abs(moved).max()) < last_step:
            break
    return point


def dot(first: Vector, second: Vector) -> float:
    """Return the scalar product, summed in an order that does not depend on a BLAS."""
    return float(np.sum(first * second))


def _line_search(
    objective: Objective, point: Vector, value: float, direction: Vector, slope: float
) -> tuple[Vector, float, Vector] | None:
    """Halve the step until the value drops enough; None if it never does."""
    length = 1.0
    for _ in range(_MOST_HALVINGS):
        there = point + length * direction
        new_value, new_gradient = objective(there)
        if new_value <= value + _SUFFICIENT * length * slope:
            return there, new_value, new_gradient
        length /= 2.0
    return None


def _inverse_hessian(gradient: Vector, history: list[tuple[Vector, Vector, float]]) -> Vector:
    """Multiply the gradient by the inverse Hessian that the last steps have shown."""
    result, shares = gradient, []
    for moved, turned, inverse in reversed(history):
        share = inverse * dot(moved, result)
        result = result - share * turned
        shares.append(share)
    moved, turned, inverse = history[-1]
    result = result / (inverse * dot(turned, turned))
    for (moved, turned, inverse), share in zip(history, reversed(shares), strict=True):
        result = result + moved * (share - inverse * dot(turned, result))
    return result
