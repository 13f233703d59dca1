"""What several tests of networks share."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest
from skipping import skip_or_fail

from medfuse.networks.native import instruction_set, library


@pytest.fixture
def kernels() -> None:
    """Leave a test out where the kernels were not built."""
    if instruction_set() is None:
        skip_or_fail("the kernels were not built for this computer")


@pytest.fixture(params=["best", "avx2"])
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the best kernels of this computer, and also those for processors without AVX-512."""
    if request.param == "avx2":
        if platform.machine() != "x86_64":
            pytest.skip("AVX2 is of x86 processors")
        monkeypatch.setattr(library.torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    library._find.cache_clear()
    yield
    monkeypatch.undo()
    library._find.cache_clear()
