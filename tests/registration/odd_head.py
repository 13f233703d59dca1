"""A small made-up head that is judged in a process of its own."""

from __future__ import annotations

import numpy as np
import torch

from medfuse.registration.verdict import Verdict, judge


def odd_head() -> Verdict:
    """Judge a small made-up head against a scan with other values, 3 mm off."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (36, 40, 32)], indexing="ij")
    head = np.exp(-4 * (x**2 + 1.3 * y**2 + z**2)) + 0.3 * np.sin(9 * x + 5 * y) * (x**2 + y**2 + z**2 < 0.6)
    affine, matrix = np.diag([4.0, 4.0, 4.0, 1.0]), np.eye(4)
    matrix[0, 3] = 3.0
    fixed, moving = torch.from_numpy(head.astype(np.float32)), torch.from_numpy((1 - head**2).astype(np.float32))
    return judge(fixed, affine, moving, affine, matrix)
