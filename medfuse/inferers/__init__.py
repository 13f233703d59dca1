"""Steps 4 to 6 of 8: slice, network, assemble."""

from medfuse.inferers.slicewise import SlicewiseInferer

__all__ = ["SlicewiseInferer"]
