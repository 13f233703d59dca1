"""The fidelity of each source equals the value that the field computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.metrics import visual_information_fidelity


@pytest.mark.parametrize(("source", "name"), [(0, "VIF_a"), (1, "VIF_b")])
def test_fidelity_of_each_source_equals_the_published_one(
    reference_images: list[Tensor], reference_values: dict[str, Tensor], source: int, name: str
) -> None:
    found = visual_information_fidelity(reference_images[source], reference_images[2])
    torch.testing.assert_close(found, reference_values[name], rtol=1e-6, atol=0.0)
