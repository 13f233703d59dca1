"""How well a lesion of one modality can still be told from its surroundings in the fused image."""

from __future__ import annotations

from torch import Tensor

from medfuse.metrics.foreground import local_maximum
from medfuse.metrics.masking import check_mask, mean_inside
from medfuse.metrics.numerics import ratio

_GAP, _RING = 1, 4  # pixels: what is that near the lesion belongs to neither, and how far the ring reaches


def lesion_contrast_kept(source: Tensor, fused: Tensor, lesion: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return how much of a lesion's contrast in a source is left in the fused image.

    Contrast is the mean inside the lesion minus the mean in a ring around it, 2 to 4 pixels away. The pixels next to
    the lesion belong to neither, because they hold both.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z): the modality that shows the lesion.
        fused: same shape, and the same scale.
        lesion: bool of the same shape, True inside the lesion.
        mask: bool of the same shape, True where the ring may lie: the head, without the air around it.

    Returns:
        (B,): 1 for all of it, 0 for none, above 1 for more, negative if dark became bright. NaN where there is no
        lesion or no ring, or the source shows no contrast.

    Raises:
        OptionError: if lesion or mask do not fit.
    """
    ring = surroundings(lesion, mask)
    contrasts = [mean_inside(image, lesion) - mean_inside(image, ring) for image in (source, fused)]
    return ratio(contrasts[1], contrasts[0]).squeeze(1)


def contrast_to_noise(image: Tensor, lesion: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the contrast of a lesion over the standard deviation of its surroundings (CNR).

    In a fused image the other modality's anatomy in the ring is noise to this lesion. To know what fusion did, divide
    by that of the source; where the source is smooth around the lesion, that is large beyond meaning.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z): a source, or the fused image.
        lesion: bool of the same shape, True inside the lesion.
        mask: bool of the same shape, True where the ring may lie: the head, without the air around it.

    Returns:
        (B,): negative for a dark lesion. NaN where there is no lesion or no ring, or the ring is blank.

    Raises:
        OptionError: if lesion or mask do not fit.
    """
    ring = surroundings(lesion, mask)
    around = mean_inside(image, ring)
    deviations = image - around.view(-1, *[1] * (image.ndim - 1))
    noise = mean_inside(deviations.square(), ring).sqrt()
    return ratio(mean_inside(image, lesion) - around, noise).squeeze(1)


def surroundings(lesion: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the ring around a lesion, 2 to 4 pixels away along each axis.

    Args:
        lesion: bool (B, 1, H, W), or volumes (B, 1, X, Y, Z), True inside the lesion.
        mask: bool of the same shape, True where the ring may lie.

    Returns:
        bool of the same shape.

    Raises:
        OptionError: if lesion is not bool, or the mask does not fit.
    """
    check_mask(lesion, lesion)
    check_mask(mask, lesion)
    inside = lesion.float()
    ring = (local_maximum(inside, _RING) > 0.0) & (local_maximum(inside, _GAP) == 0.0)
    return ring if mask is None else ring & mask
