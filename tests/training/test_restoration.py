"""Training a restorer: the loss, the judge, and a whole run that takes up where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medfuse.errors import OptionError
from medfuse.networks import Restormer, RestormerConfig, build, read_provenance
from medfuse.training import TrainingOptions, train, training_options
from medfuse.training.checkpoint import checkpoint_path
from medfuse.training.judges import peak_signal_to_noise, restoration_judge
from medfuse.training.loop import Loop
from medfuse.training.options import PatchSize, RestorationOptions
from medfuse.training.restoration import restoration_terms
from medfuse.training.slice_pairs import SlicePair

SMALL = RestormerConfig(1, 1, channels=4, blocks=(0, 1, 1, 1), refinement_blocks=0, heads=(1, 1, 1, 1), expansion=2.0)


@pytest.fixture
def short() -> TrainingOptions:
    """Return options of a restorer's run that takes a second or two."""
    return TrainingOptions(
        architecture="restormer",
        network=SMALL,
        stage_one_steps=0,
        stage_two_steps=0,
        learning_rate=2e-3,
        clip_norm=1.0,
        ema_decay=0.5,
        validate_every=2,
        validation_pairs=0,
        checkpoint_every=1,
        threads=1,
        restoration=RestorationOptions(steps=4, sizes=(PatchSize(0.5, 48, 2), PatchSize(1.0, 64, 1))),
    )


def test_the_loss_is_the_distance_to_the_clean_picture() -> None:
    image = torch.rand(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    clean, degraded = image.chunk(2, dim=1)
    terms = restoration_terms(lambda seen: seen, image, 1e-6)
    assert terms["difference"].item() == pytest.approx((clean - degraded).abs().mean().item(), rel=1e-4)
    assert restoration_terms(lambda _: clean, image, 1e-3)["difference"].item() == pytest.approx(1e-3, rel=1e-4)


def test_peak_signal_to_noise() -> None:
    clean = torch.full((8, 8), 0.5)
    assert peak_signal_to_noise(clean, clean + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert peak_signal_to_noise(torch.ones(8), torch.full((8,), 1.5)) == pytest.approx(120.0)  # clipped


def test_the_judge_finds_no_gain_in_doing_nothing() -> None:
    chance = torch.Generator().manual_seed(0)
    pairs = [SlicePair("CT-MRI", "case", torch.rand(2, 48, 48, generator=chance))]
    judge = restoration_judge(pairs, ("MR", "CT"), 0)
    found = judge.look(torch.nn.Identity(), torch.device("cpu"))["validation"]
    assert sorted(found) == ["CT 10 HU", "CT 20 HU", "CT 40 HU", "MR 12 %", "MR 3 %", "MR 6 %"]
    assert all(scores["gain_db"] == pytest.approx(0.0, abs=1e-5) for scores in found.values())
    assert found["MR 12 %"]["psnr_db"] < found["MR 3 %"]["psnr_db"]
    assert found["CT 40 HU"]["ssim"] < found["CT 10 HU"]["ssim"]
    again = judge.look(torch.nn.Identity(), torch.device("cpu"))["validation"]
    assert again == found
    pictures = dict(judge.pictures(torch.nn.Identity(), torch.device("cpu")))
    assert pictures["MR 3 %"].shape == (48, 3 * 48)


def test_a_run_learns_and_says_how_well(slices: Path, short: TrainingOptions, tmp_path: Path) -> None:
    weights, logs = tmp_path / "mine.safetensors", tmp_path / "logs"
    record = train(slices, weights, short, "medfuse train slices", logs=logs)
    assert [row["step"] for row in record.curve] == [2, 4]
    assert set(record.curve[-1]["validation"]) >= {"MR 3 %", "CT 20 HU", "PT 10 counts"}
    assert "validation/MR 3 %/gain_db" in (logs / "steps.jsonl").read_text()
    network = build("restormer", weights)
    assert isinstance(network, Restormer)
    assert network.config == SMALL
    assert read_provenance(weights)["options"]["restoration"]["sizes"][1]["patch_size"] == 64  # type: ignore[index]
    assert not checkpoint_path(weights).exists()


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    slices: Path, short: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parted = tmp_path / "whole.safetensors", tmp_path / "parted.safetensors"
    train(slices, whole, short, "")
    with monkeypatch.context() as patched:
        after_step = Loop._after_step

        def stop(self: Loop, stage: object, terms: dict[str, float]) -> None:
            after_step(self, stage, terms)  # type: ignore[arg-type]
            if stage.done == 3:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

        patched.setattr(Loop, "_after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(slices, parted, short, "")
    assert checkpoint_path(parted).is_file()
    train(slices, parted, short, "", resume=True)
    first, second = (build("restormer", path).state_dict() for path in (whole, parted))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("preset", ["restormer_structure_cpu", "restormer_counts_cpu"])
def test_the_presets_share_out_the_modalities(preset: str) -> None:
    options = training_options(preset)
    assert options.restores
    assert isinstance(options.network, RestormerConfig)
    assert options.restoration.modalities == (("MR", "CT") if "structure" in preset else ("PT", "NM"))
    sides = [size.patch_size for size in options.restoration.sizes]
    batches = [size.batch_size for size in options.restoration.sizes]
    assert sides == sorted(sides)
    assert batches == sorted(batches, reverse=True)
    assert options.largest_patch == sides[-1]


def test_steps_that_the_network_does_not_have_are_refused(short: TrainingOptions) -> None:
    with pytest.raises(OptionError, match="restormer has no such stage"):
        replace(short, stage_two_steps=1)
    with pytest.raises(OptionError, match="cddfuse has no such stage"):
        TrainingOptions(restoration=short.restoration)
    with pytest.raises(OptionError, match=r"both 0, restoration\.steps too"):
        replace(short, restoration=RestorationOptions())
