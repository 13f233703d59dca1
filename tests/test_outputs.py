"""The main job, end to end: what it leaves on the disk."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from fusion_fixtures import Fused
from made_volumes import OBLIQUE, cloud, made
from PIL import Image

from medfuse.errors import OutputError
from medfuse.io.transform_files import read_transform
from medfuse.io.volume_files import read_volume, write_volume
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.registration import rigid
from medfuse.registration.presets import Preset, load_preset

OUTPUTS = {
    "fixed_to_moving.tfm",
    "fixed_to_moving.txt",
    "fused.nii.gz",
    "moving_registered.nii.gz",
    "preview.png",
    "run.json",
}


def quick(output: Path, **changes: object) -> FusionOptions:
    trust = RegistrationOptions(method="none")
    return FusionOptions(**{"method": "max", "registration": trust, "output": output, **changes})  # type: ignore[arg-type]


def record_of(fused: Fused) -> dict[str, object]:
    return json.loads((fused.folder / "run.json").read_text(encoding="utf-8"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_outputs_are_complete_and_alone(fused_ct: Fused, fused_pet: Fused) -> None:
    assert names(fused_ct.folder) == OUTPUTS
    assert names(fused_pet.folder) == OUTPUTS | {"fused_color.nii.gz"}
    for fused in (fused_ct, fused_pet):
        assert names(fused.folder.parent) == {"result"}


def test_the_fused_volume_has_the_fixed_grid_bit_for_bit(patient: Path, fused_ct: Fused) -> None:
    source, fused = nib.load(patient / "t1.nii.gz"), nib.load(fused_ct.folder / "fused.nii.gz")
    assert fused.shape == source.shape
    assert fused.get_data_dtype() == np.float32
    assert np.array_equal(fused.affine, source.affine)
    assert np.array_equal(np.asarray(fused.dataobj), fused_ct.result.fused.numpy()[0])


@pytest.mark.parametrize("stated", ["qform", "sform", "both"])
def test_any_way_to_state_the_orientation_is_kept(tmp_path: Path, stated: str) -> None:
    rotation = np.linalg.qr(OBLIQUE[:3, :3])[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation * [1.1, 1.3, 2.7], OBLIQUE[:3, 3]
    image = nib.Nifti1Image(cloud(), None)
    image.set_qform(affine, code=0 if stated == "sform" else 1)
    image.set_sform(affine if stated != "qform" else None, code=0 if stated == "qform" else 2)
    nib.save(image, tmp_path / "a_t1.nii")
    write_volume(made(cloud(1), "CT", affine), tmp_path / "b_ct.nii.gz")
    fuse_volumes(tmp_path / "a_t1.nii", tmp_path / "b_ct.nii.gz", quick(tmp_path / "out"))
    source = nib.load(tmp_path / "a_t1.nii")
    for name in ("fused", "moving_registered"):
        written = nib.load(tmp_path / "out" / f"{name}.nii.gz")
        assert np.array_equal(written.affine, source.affine)
        assert np.array_equal(written.header["qform_code"], source.header["qform_code"])
        assert np.array_equal(written.header["sform_code"], source.header["sform_code"])


@pytest.mark.parametrize("extension", ["mha", "nrrd"])
def test_other_formats_keep_their_grid_too(tmp_path: Path, extension: str) -> None:
    for name, seed in (("t1", 0), ("ct", 1)):
        square = np.linalg.qr(OBLIQUE[:3, :3])[0]
        affine = np.block([[square, OBLIQUE[:3, 3:]], [np.zeros((1, 3)), np.ones((1, 1))]])
        write_volume(made(cloud(seed), "MR", affine), tmp_path / f"{name}.{extension}")
    fuse_volumes(tmp_path / f"t1.{extension}", tmp_path / f"ct.{extension}", quick(tmp_path / "out"))
    source = read_volume(tmp_path / f"t1.{extension}")
    np.testing.assert_allclose(nib.load(tmp_path / "out" / "fused.nii.gz").affine, source.affine.numpy(), atol=1e-5)


def test_the_registered_volume_is_written_in_its_own_units(fused_pet: Fused) -> None:
    written = nib.load(fused_pet.folder / "moving_registered.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), fused_pet.result.moving_registered.numpy()[0])
    assert float(np.asarray(written.dataobj).max()) > 2.0


def test_the_transform_files_agree(fused_ct: Fused) -> None:
    found = fused_ct.result.registration.fixed_to_moving_ras
    for ending in ("tfm", "txt"):
        np.testing.assert_allclose(read_transform(fused_ct.folder / f"fixed_to_moving.{ending}"), found, atol=1e-12)
    assert not np.allclose(found, np.eye(4))


def test_the_color_volume_is_rgb_on_the_same_grid(fused_pet: Fused) -> None:
    color, fused = (nib.load(fused_pet.folder / f"{name}.nii.gz") for name in ("fused_color", "fused"))
    stored = np.asarray(color.dataobj)
    assert stored.dtype.names == ("R", "G", "B")
    assert color.shape == fused.shape
    assert np.array_equal(color.affine, fused.affine)
    channels = np.stack([stored[name] for name in "RGB"])
    assert fused_pet.result.color is not None
    assert np.array_equal(channels, fused_pet.result.color.numpy())
    assert (channels.max(axis=0) - channels.min(axis=0)).max() > 50


@pytest.mark.parametrize("name", ["fused_ct", "fused_pet"])
def test_every_panel_of_the_preview_shows_something(request: pytest.FixtureRequest, name: str) -> None:
    fused: Fused = request.getfixturevalue(name)
    with Image.open(fused.folder / "preview.png") as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB")).astype(float)
    height = round(0.86 * picture.shape[0])  # above the caption
    assert picture.shape[0] >= 800
    for row in np.array_split(picture[:height], 3, axis=0):
        for panel in np.array_split(row, 4, axis=1):
            assert panel.mean() > 5
            assert panel.std() > 10
    colored = np.ptp(picture, axis=-1)[:height, : picture.shape[1] // 4].max(), np.ptp(picture, axis=-1).max()
    assert colored[1] > 100


def test_run_json_says_what_was_done(fused_ct: Fused) -> None:
    record = record_of(fused_ct)
    assert set(record) == {
        *("disclaimer", "versions", "options", "inputs", "registration", "inside_fraction", "windows", "slices"),
        *(
            "method",
            "device",
            "seconds",
            "peak_memory_mib",
            "peak_memory_mib_by_step",
            "kernels",
            "notes",
            "outputs",
            "restoration",
        ),
    }
    assert record["method"] == {"name": "max"}
    assert record["device"] == "cpu"
    assert list(record["seconds"]) == [
        "read",
        "register",
        "normalize",
        "slice",
        "network",
        "assemble",
        "write",
        "report",
    ]
    assert record["windows"]["moving"]["units"] == "HU"
    assert record["slices"] == {"axis": 2, "number": 32}
    assert np.array_equal(
        record["registration"]["fixed_to_moving_ras"], fused_ct.result.registration.fixed_to_moving_ras
    )
    assert record == json.loads(json.dumps(fused_ct.result.record))


def test_the_hashes_in_run_json_are_true(patient: Path, fused_pet: Fused) -> None:
    record = record_of(fused_pet)
    for role, name in (("fixed", "t1.nii.gz"), ("moving", "pet.nii.gz")):
        content = (patient / name).read_bytes()
        assert record["inputs"][role]["file"] == name
        assert record["inputs"][role]["sha256"] == hashlib.sha256(content).hexdigest()
        values = np.ascontiguousarray(read_volume(patient / name).numpy())
        assert record["inputs"][role]["values_sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
    assert set(record["outputs"]) == names(fused_pet.folder) - {"run.json"}
    for name, described in record["outputs"].items():
        content = (fused_pet.folder / name).read_bytes()
        assert described == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_no_folder_is_named(patient: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "MUELLER_HANS"
    inputs.mkdir()
    for name in ("t1.nii.gz", "ct.nii.gz"):
        (inputs / name).symlink_to(patient / name)
    output = inputs / "results" / "out"
    fuse_volumes(inputs / "t1.nii.gz", inputs / "ct.nii.gz", quick(output, weights=str(inputs / "unused.pth")))
    for path in output.iterdir():
        content = path.read_bytes()
        assert b"MUELLER" not in (gzip.decompress(content) if path.suffix == ".gz" else content), path.name


def coarse(name: str) -> Preset:
    preset = load_preset(name)
    return replace(preset, levels=preset.levels[:1], kept=(2,))


def test_two_runs_give_the_same_bytes(patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigid, "load_preset", coarse)
    for name in ("a", "b"):
        options = FusionOptions(method="laplacian", output=tmp_path / name)
        fuse_volumes(patient / "t1.nii.gz", patient / "pet.nii.gz", options)
    for name in names(tmp_path / "a") - {"run.json"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_output_is_replaced_only_if_asked(tmp_path: Path) -> None:
    pair, output = (made(cloud(), "MR"), made(cloud(1), "CT")), tmp_path / "out"
    fuse_volumes(*pair, quick(output))
    before = (output / "fused.nii.gz").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        fuse_volumes(*pair, quick(output, method="average"))
    assert (output / "fused.nii.gz").read_bytes() == before
    fuse_volumes(*pair, quick(output, method="average", overwrite=True))
    assert (output / "fused.nii.gz").read_bytes() != before
    assert names(tmp_path) == {"out"}


def test_what_is_no_result_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not an earlier result"):
        fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT"), quick(tmp_path / "thesis", overwrite=True))
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_an_input_inside_the_output_is_not_lost(patient: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", quick(output))
    with pytest.raises(OutputError, match="which is to be replaced"):
        fuse_volumes(output / "fused.nii.gz", patient / "ct.nii.gz", quick(output, overwrite=True, fixed_modality="MR"))
    assert names(output) == OUTPUTS


def test_a_transform_inside_the_output_is_not_lost(patient: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", quick(output))
    again = RegistrationOptions(method="none", transforms=(output / "fixed_to_moving.tfm",))
    with pytest.raises(OutputError, match="which is to be replaced"):
        fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", quick(output, overwrite=True, registration=again))
    assert names(output) == OUTPUTS


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT"), replace(quick(tmp_path), output=None))
    assert list(tmp_path.iterdir()) == []
    assert "outputs" not in result.record
    assert torch.isfinite(result.fused.as_tensor()).all()
