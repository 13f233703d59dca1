"""``medfuse unfuse``: both sources of a fused volume come back, or those possible; what does not fit is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import pytest
import torch
from cli_runs import everything, refusal, run

from medfuse.io.remainder_file import Remainder, read_remainder, write_remainder
from medfuse.io.volume_files import read_volume, write_volume
from medfuse.networks import Unfusing, UnfusingConfig, build, save_weights
from medfuse.transforms.normalize import through_window
from medfuse.transforms.windows import IntensityWindow
from medfuse.unfuse import possible_sources

ROLES = ("fixed", "moving")
BLACK = 3  # slices at the top, where the fixed volume is black and the moving scan has not been
UNSEEN = 6  # slices at the top where it has not been


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a small network away from where it starts."""
    torch.manual_seed(0)
    widening = (1.0, 1.0, 1.0, 1.0, 1.5, 2.0, 1.0, 1.0)  # other than 1 for PT
    network = Unfusing(UnfusingConfig(fusing_nodes=2, latent_nodes=1, hidden=6, widening=widening))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path, {})
    return path


@pytest.fixture(scope="module")
def sources(patient: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a PET of odd size, black at the top, and an MR that ends below, both of the phantom."""
    folder = tmp_path_factory.mktemp("sources")
    pet, t1 = (read_volume(patient / f"{name}.nii.gz") for name in ("pet", "t1"))
    pet = pet[:, :-1, :-3].clone()
    pet[..., -BLACK:] = 0.0
    write_volume(pet, folder / "pet.nii.gz")
    top_mm = float((pet.affine @ pet.affine.new_tensor([0, 0, pet.shape[3] - UNSEEN, 1]))[2])
    bottom = t1.affine.inverse() @ t1.affine.new_tensor([0.0, 0.0, top_mm, 1.0])
    write_volume(t1[..., : int(bottom[2])], folder / "t1.nii.gz")
    return folder


@pytest.fixture(scope="module")
def fused(sources: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what ``medfuse fuse --keep-remainder`` wrote; PET is fixed, so that roles and channels differ."""
    return fuse(sources, weights, tmp_path_factory.mktemp("fused") / "out")


def fuse(sources: Path, weights: Path, output: Path, keep: bool = True, method: str = "unfusing") -> Path:
    pair = (sources / "pet.nii.gz", sources / "t1.nii.gz")
    options = ("--register", "none", "--method", method, "--weights", weights)
    result = run("fuse", *pair, "-o", output, *options, *(("--keep-remainder",) if keep else ()))
    assert result.exit_code == 0, result.stderr
    return output


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def record_of(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def seen(folder: Path, role: str, sources: Path) -> np.ndarray:
    """Return a source as the network saw it, (X, Y, Z) in [0, 1]."""
    volume = read_volume(sources / "pet.nii.gz" if role == "fixed" else folder / "moving_registered.nii.gz")
    return through_window(volume, IntensityWindow(**record_of(folder)["windows"][role])).numpy()[0]


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def test_the_remainder_is_written_beside_the_fused_volume(fused: Path, sources: Path, weights: Path) -> None:
    record = record_of(fused)
    assert record["options"]["keep_remainder"] is True
    content = (fused / "remainder.npz").read_bytes()
    assert record["outputs"]["remainder.npz"]["sha256"] == hashlib.sha256(content).hexdigest()
    again = fuse(sources, weights, fused.parent / "again")
    assert (again / "remainder.npz").read_bytes() == content
    plain = fuse(sources, weights, fused.parent / "plain", keep=False)
    assert (plain / "fused.nii.gz").read_bytes() == (again / "fused.nii.gz").read_bytes()
    assert not (plain / "remainder.npz").exists()


def test_both_sources_come_back_in_their_own_units(fused: Path, weights: Path, sources: Path, tmp_path: Path) -> None:
    result = run("unfuse", fused, "-o", tmp_path / "out", "--weights", weights)
    assert result.exit_code == 0, result.stderr
    windows = record_of(fused)["windows"]
    limits = f"cut off at {windows['moving']['lower']:g} and {windows['moving']['upper']:g}"
    said = result.stdout.splitlines()
    assert said[0].startswith("Unfused in ")
    assert said[2] == f"MR (moving) in stored values, {limits}: {tmp_path / 'out' / 'moving.nii.gz'}"
    assert everything(tmp_path / "out") == {"fixed.nii.gz", "moving.nii.gz", "run.json"}
    for role in ROLES:
        lower, width = windows[role]["lower"], windows[role]["upper"] - windows[role]["lower"]
        found = values(tmp_path / "out" / f"{role}.nii.gz")
        assert np.abs(found - lower - width * seen(fused, role, sources)).max() <= 1.01e-4 * width
    record = record_of(tmp_path / "out")
    assert record["sources"]["fixed"] == {
        "modality": "PT",
        "units": windows["fixed"]["units"],
        "window": [windows["fixed"]["lower"], windows["fixed"]["upper"]],
        "files": {"source": "fixed.nii.gz"},
    }
    assert set(record["inputs"]) == {"fused.nii.gz", "run.json", "remainder.npz"}
    assert str(tmp_path) not in json.dumps(record)


def test_normalized_sources_keep_the_tolerance_and_the_grid(
    fused: Path, weights: Path, sources: Path, tmp_path: Path
) -> None:
    run("unfuse", fused / "fused.nii.gz", "-o", tmp_path / "out", "--weights", weights, "--normalized")
    shown = nib.load(fused / "fused.nii.gz")
    for role in ROLES:
        found, expected = nib.load(tmp_path / "out" / f"{role}.nii.gz"), seen(fused, role, sources)
        assert np.array_equal(found.affine, shown.affine)
        assert found.shape == shown.shape
        assert bytes(found.header["descrip"]).decode().rstrip("\0").endswith("of a fused volume, normalized")
        assert np.abs(np.asarray(found.dataobj) - expected).max() <= 1e-4
        assert expected[..., : -UNSEEN - 2].max() > 0.9
        assert np.asarray(found.dataobj)[..., -BLACK:].max() == 0.0
    assert record_of(tmp_path / "out")["sources"]["moving"]["units"] == "normalized"


def test_without_the_remainder_mean_and_spread_are_drawn(
    fused: Path, weights: Path, sources: Path, tmp_path: Path
) -> None:
    """PET is fixed: its mean must be of the network's second channel."""
    command = ("unfuse", fused, "--weights", weights, "--without-remainder", "--draws", "4")
    result = run(*command, "-o", tmp_path / "out", "--normalized")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].endswith(", from 4 draws, whose spread is widened by what the weights say.")
    names = {f"{role}_{kind}.nii.gz" for role in ROLES for kind in ("mean", "spread")}
    assert everything(tmp_path / "out") == {*names, "run.json"}
    assert set(record_of(tmp_path / "out")["inputs"]) == {"fused.nii.gz", "run.json"}
    said = record_of(tmp_path / "out")["sources"]
    assert {role: said[role]["spread_widened_by"] for role in ROLES} == {"fixed": 2.0, "moving": 1.5}
    shown = read_volume(fused / "fused.nii.gz").as_tensor().movedim(3, 0)  # (N, 1, X, Y)
    found = possible_sources(shown[5:6], cast(Unfusing, build("unfusing", weights)), draws=4, seed=5, modality="PT")
    for channel, role in enumerate(("moving", "fixed")):
        for kind, expected in (("mean", found.mean), ("spread", found.deviation)):
            written = values(tmp_path / "out" / f"{role}_{kind}.nii.gz")
            np.testing.assert_allclose(written[..., 5], expected[0, channel], atol=1e-6)
            assert written[..., -BLACK:].max() == 0.0
    run(*command, "-o", tmp_path / "scaled")
    window = record_of(fused)["windows"]["moving"]
    spread = (values(tmp_path / name / "moving_spread.nii.gz") for name in ("scaled", "out"))
    np.testing.assert_allclose(next(spread), (window["upper"] - window["lower"]) * next(spread), rtol=1e-5)


def test_a_fusion_that_cannot_be_undone_is_refused(fused: Path, weights: Path, sources: Path, tmp_path: Path) -> None:
    pair = (sources / "pet.nii.gz", sources / "t1.nii.gz", "-o", tmp_path / "out")
    line = refusal("fuse", *pair, "--register", "none", "--method", "max", "--keep-remainder")
    assert line == "error: method max has no remainder to keep; choose method unfusing"
    by_max = fuse(sources, weights, tmp_path / "by_max", keep=False, method="max")
    line = refusal("unfuse", by_max, "-o", tmp_path / "out")
    assert "was fused by max, which cannot be undone" in line
    line = refusal("unfuse", fused, "-o", tmp_path / "out")
    assert (
        "other weights (small.safetensors) than those given (unfusing.safetensors); give the same by --weights" in line
    )
    assert "there is no run.json in" in refusal("unfuse", sources / "pet.nii.gz", "-o", tmp_path / "out")
    assert "does not exist" in refusal("unfuse", fused / "fuse.nii.gz", "-o", tmp_path / "out", "--weights", weights)
    line = refusal("unfuse", fused, "-o", tmp_path / "out", "--without-remainder", "--draws", "1")
    assert "draws is 1; give a whole number of at least 2" in line
    assert everything(tmp_path) == {"by_max", *(f"by_max/{name}" for name in everything(by_max))}


def test_a_remainder_that_does_not_belong_is_refused(fused: Path, weights: Path, tmp_path: Path) -> None:
    folder = copied(fused, tmp_path / "fused")
    command = ("unfuse", folder, "-o", tmp_path / "out", "--weights", weights)
    remainder = read_remainder(folder / "remainder.npz")
    for wrong, reason in (
        (replace(remainder, weights="0"), "of a network with other weights"),
        (replace(remainder, fused="0"), "of another fused image"),
        (_first_slices(remainder), "give those that belong together"),
    ):
        write_remainder(wrong, folder / "remainder.npz", overwrite=True)
        assert reason in refusal(*command)
    (folder / "remainder.npz").write_bytes(b"PK")
    assert "remainder.npz: not a remainder" in refusal(*command)
    (folder / "remainder.npz").unlink()
    assert "fuse with --keep-remainder, or take --without-remainder" in refusal(*command)
    assert not (tmp_path / "out").exists()


def _first_slices(remainder: Remainder) -> Remainder:
    parts = {name: getattr(remainder, name)[:-1] for name in ("rest", "beyond", "correction", "black")}
    return replace(remainder, **parts)


def test_a_volume_that_was_changed_is_refused(fused: Path, weights: Path, tmp_path: Path) -> None:
    folder = copied(fused, tmp_path / "fused")
    command = ("unfuse", folder, "-o", tmp_path / "out", "--weights", weights)
    volume = read_volume(folder / "fused.nii.gz")
    write_volume(0.9 * volume, folder / "fused.nii.gz")
    assert "or this one was changed since" in refusal(*command)
    write_volume(volume[..., 1:], folder / "fused.nii.gz")
    assert "give the volume as it was fused, on its own grid" in refusal(*command)


def test_a_record_that_does_not_tell_is_refused(fused: Path, weights: Path, tmp_path: Path) -> None:
    folder = copied(fused, tmp_path / "fused")
    command = ("unfuse", folder, "-o", tmp_path / "out", "--weights", weights)
    record = record_of(folder)
    for key in ("slices", "inputs"):
        (folder / "run.json").write_text(json.dumps({**record, key: {}}))
        assert "run.json does not tell how the volume was fused" in refusal(*command)
    (folder / "run.json").write_text(json.dumps({**record, "windows": None}))
    assert "(fixed) in normalized, cut off at 0 and 1" in run(*command).stdout
    for content in ("{", "[]"):
        (folder / "run.json").write_text(content)
        assert "run.json is damaged" in refusal(*command, "--overwrite")
