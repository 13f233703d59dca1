"""Clean patches beside degraded ones: each a function of its number and side, in sizes that follow the schedule."""

from __future__ import annotations

import pytest
import torch

from medfuse.errors import OptionError
from medfuse.training.noisy_patches import NoisyPatches, noisy_loader, pictures_of, scheduled_batches
from medfuse.training.options import PatchSize, RestorationOptions
from medfuse.training.slice_pairs import SlicePair

SIZES = (PatchSize(0.5, 48, 3), PatchSize(1.0, 64, 2))
SHORT = RestorationOptions(steps=4, sizes=SIZES)


@pytest.fixture
def pairs() -> list[SlicePair]:
    chance = torch.Generator().manual_seed(0)
    return [
        SlicePair(name, "case", torch.rand(2, 96, 80, generator=chance))
        for name in ("CT-MRI", "CT-MRI", "PET-MRI", "SPECT-MRI")
    ]


def test_pairs_are_taken_apart_by_modality(pairs: list[SlicePair]) -> None:
    pictures = pictures_of(pairs, ("MR", "PT", "CT", "NM"))
    assert [picture.modality for picture in pictures] == ["MR", "CT", "MR", "CT", "MR", "PT", "MR", "NM"]
    assert torch.equal(pictures[1].image[0], pairs[0].image[1])
    assert [picture.modality for picture in pictures_of(pairs, ("PT",))] == ["PT"]


def test_batches_follow_the_schedule(pairs: list[SlicePair]) -> None:
    keys = list(scheduled_batches(SHORT))
    assert [len(batch) for batch in keys] == [3, 3, 2, 2]
    assert [number for batch in keys for number, _ in batch] == list(range(10))
    patches = NoisyPatches(pictures_of(pairs, ("MR",)), 0)
    shapes = [tuple(batch["image"].shape) for batch in noisy_loader(patches, SHORT, 0, 4)]
    assert shapes == [(3, 2, 48, 48), (3, 2, 48, 48), (2, 2, 64, 64), (2, 2, 64, 64)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_goes_on_gets_the_patches_it_would_have_had(pairs: list[SlicePair], workers: int) -> None:
    patches = NoisyPatches(pictures_of(pairs, ("CT", "NM")), 5)
    whole = [batch["image"] for batch in noisy_loader(patches, SHORT, 0, 4)]
    rest = [batch["image"] for batch in noisy_loader(patches, SHORT, 3, 4, workers)]
    assert torch.equal(rest[0], whole[3])
    other = next(iter(noisy_loader(NoisyPatches(pictures_of(pairs, ("CT", "NM")), 6), SHORT, 0, 1)))["image"]
    assert not torch.equal(other, whole[0])


def test_the_second_channel_is_the_first_with_noise(pairs: list[SlicePair]) -> None:
    patches = NoisyPatches(pictures_of(pairs, ("NM",)), 0)
    clean, degraded = patches[(0, 64)]["image"]
    assert 0.0 <= clean.min() <= clean.max() <= 1.0
    assert not torch.equal(clean, degraded)
    assert torch.corrcoef(torch.stack([clean.flatten(), degraded.flatten()]))[0, 1] > 0.2


def test_modalities_are_equally_frequent(pairs: list[SlicePair]) -> None:
    bright = [
        SlicePair(pair.collection, "case", torch.cat([pair.image[:1] * 0, pair.image[1:] * 0 + 1])) for pair in pairs
    ]
    patches = NoisyPatches(pictures_of(bright, ("MR", "NM")), 1)
    share = sum(float(patches[(number, 48)]["image"][0].mean() > 0.3) for number in range(60)) / 60
    assert 0.3 < share < 0.7  # one NM picture among four of MR


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"sizes": (PatchSize(0.5, 64, 2),)}, "let them rise from above 0 to 1"),
        ({"sizes": (PatchSize(0.8, 64, 2), PatchSize(0.5, 64, 2), PatchSize(1.0, 64, 2))}, "let them rise"),
        ({"sizes": (PatchSize(1.0, 40, 2),)}, "patch_size of at least 41"),
        ({"sizes": (PatchSize(1.0, 64, 0),)}, "batch_size of at least 1"),
        ({"steps": -1}, "steps of at least 0"),
        ({"modalities": ()}, "modalities is empty"),
        ({"modalities": ("US",)}, "a modality is 'US'"),
        ({"softness": 0.0}, "softness is 0.0"),
    ],
)
def test_impossible_schedules_are_refused(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        RestorationOptions(**wrong)  # type: ignore[arg-type]
