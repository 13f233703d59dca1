"""Weighted sums over the windows of an image, one axis after the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

# Along an axis this many times longer than the window, shifted sums are faster than a product with a banded matrix;
# else the product is, more so for float64 and for the way back of the gradient. Both beat a convolution.
_LENGTH_PER_WEIGHT = 24


def gaussian_profile(size: int, sigma: float, like: Tensor) -> Tensor:
    """Return the weights of a Gaussian window along one axis.

    Args:
        size: pixels, odd.
        sigma: standard deviation in pixels.
        like: the tensor whose type and device are wanted.

    Returns:
        (size,) weights that add up to 1.
    """
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2.0
    profile = torch.exp(-offsets.square() / (2.0 * sigma**2))
    return profile / profile.sum()


class Window:
    """A window whose weights are the product of one profile for each axis.

    Args:
        profiles: (size,) weights along each axis; or one for all axes.
    """

    def __init__(self, *profiles: Tensor) -> None:
        self.profiles = profiles
        self._bands: dict[tuple[int, int], Tensor] = {}

    def sums(self, image: Tensor) -> Tensor:
        """Add up each window that lies within the image.

        Args:
            image: (B, C, H, W), or volumes (B, C, X, Y, Z).

        Returns:
            (B, C, H - size + 1, W - size + 1), or the like for volumes.
        """
        axes = image.ndim - 2
        for axis in range(axes):
            image = self._along(2 + axis, image, axis if len(self.profiles) > 1 else 0)
        return image

    def _along(self, axis: int, image: Tensor, which: int) -> Tensor:
        profile, size = self.profiles[which], image.shape[axis]
        if len(profile) * _LENGTH_PER_WEIGHT <= size:
            return _sum_of_shifts(axis, image, profile)
        if (which, size) not in self._bands:
            self._bands[which, size] = _band(profile, size)
        band = self._bands[which, size]
        if axis == image.ndim - 1:
            return torch.matmul(image, band.mT)
        before, after = image.shape[:axis], image.shape[axis + 1 :]
        return (band @ image.flatten(axis + 1)).view(*before, -1, *after)


def padded(image: Tensor, border: int) -> Tensor:
    """Let the outermost pixels go on beyond the border.

    Args:
        image: (B, C, H, W), or volumes (B, C, X, Y, Z).
        border: pixels on each side.

    Returns:
        An image larger by twice the border along each axis.
    """
    return F.pad(image, (border, border) * (image.ndim - 2), mode="replicate")


class WindowMoments(NamedTuple):
    """Mean and variance of each window of an image that lies within it, to be compared with those of another.

    Attributes:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        window: weights that add up to 1.
        mean: (B, 1, H - size + 1, W - size + 1), or the like for volumes.
        variance: the same; rounding may leave it a little below 0.
    """

    image: Tensor
    window: Window
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, image: Tensor, window: Window) -> WindowMoments:
        """Measure the windows of an image.

        Args:
            image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
            window: weights that add up to 1.

        Returns:
            The moments of its windows.
        """
        mean = window.sums(image)
        return cls(image, window, mean, torch.addcmul(window.sums(image * image), mean, mean, value=-1.0))

    def covariance(self, other: WindowMoments) -> Tensor:
        """Return the covariance of each window with that of another image.

        Args:
            other: the moments of an image of the same shape, by the same window.

        Returns:
            The shape of the means.
        """
        return torch.addcmul(self.window.sums(self.image * other.image), self.mean, other.mean, value=-1.0)


def _sum_of_shifts(axis: int, image: Tensor, profile: Tensor) -> Tensor:
    weights = profile.tolist()
    size = image.shape[axis] - len(weights) + 1
    total: Tensor = image.narrow(axis, 0, size) * weights[0]
    for shift, weight in enumerate(weights[1:], start=1):
        total = torch.add(total, image.narrow(axis, shift, size), alpha=weight)
    return total


def _band(profile: Tensor, length: int) -> Tensor:
    """Return the matrix (length - size + 1, length) with the profile in each row, one place further in each."""
    windows = length - len(profile) + 1
    turns = torch.cat([profile, profile.new_zeros(max(windows, 0))])  # longer by one than a row of the matrix
    return turns.repeat(windows)[: windows * length].view(windows, length)
