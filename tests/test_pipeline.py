"""The main job, end to end: what it gives in memory, and what it refuses."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from fusion_fixtures import Fused
from made_volumes import OBLIQUE, cloud, made
from torch import Tensor

from medfuse import run as run_module
from medfuse import steps
from medfuse.errors import DeviceError, InputError, IntensityError, OptionError, OutputError, OverlapError, WeightsError
from medfuse.inferers.slices import split_into_slices
from medfuse.io.volume_files import read_volume
from medfuse.networks import CDDFuse, CDDFuseConfig, save_weights
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes

TRUST = RegistrationOptions(method="none")
QUICK = FusionOptions(method="max", registration=TRUST)


def quick(**changes: object) -> FusionOptions:
    return FusionOptions(**{"method": "max", "registration": TRUST, **changes})  # type: ignore[arg-type]


def test_every_volume_lies_on_the_fixed_grid(fused_pet: Fused) -> None:
    result = fused_pet.result
    for volume in (
        result.moving_registered,
        result.inside,
        result.fixed_normalized,
        result.moving_normalized,
        result.fused,
    ):
        assert volume.shape == result.fixed.shape
        assert torch.equal(volume.affine, result.fixed.affine)
    assert result.color is not None
    assert result.color.shape[1:] == result.fixed.shape[1:]
    assert torch.equal(result.color.affine, result.fixed.affine)
    assert result.modalities == ("MR", "PT")


def test_the_fused_volume_is_the_rule_applied_to_what_is_normalized(fused_ct: Fused) -> None:
    result = fused_ct.result
    inside = result.inside.as_tensor()
    brighter = torch.maximum(result.fixed_normalized.as_tensor(), result.moving_normalized.as_tensor())
    assert torch.equal(result.fused.as_tensor()[inside], brighter[inside])
    assert result.fused.dtype == torch.float32


def test_outside_the_moving_scan_the_result_is_the_fixed_volume(fused_ct: Fused) -> None:
    result = fused_ct.result
    outside = ~result.inside.as_tensor()
    assert 0.0 < float(outside.float().mean()) < 0.5
    assert torch.equal(result.fused.as_tensor()[outside], result.fixed_normalized.as_tensor()[outside])
    assert float(result.moving_normalized.as_tensor()[outside].max()) == 0.0
    assert any("lies outside the moving scan" in note for note in result.record["notes"])


def test_volumes_in_memory_give_what_files_give(patient: Path) -> None:
    paths = [patient / "t1.nii.gz", patient / "ct.nii.gz"]
    from_files = fuse_volumes(*paths, QUICK)
    volumes = [read_volume(path) for path in paths]
    from_memory = fuse_volumes(*volumes, QUICK)
    assert torch.equal(from_files.fused.as_tensor(), from_memory.fused.as_tensor())
    for role in ("fixed", "moving"):
        hashes = [result.record["inputs"][role]["values_sha256"] for result in (from_files, from_memory)]
        assert hashes[0] == hashes[1]


def test_volumes_in_memory_are_left_as_they_were() -> None:
    volumes = made(cloud(), "MR"), made(cloud(1), "CT")
    before = [volume.as_tensor().clone() for volume in volumes]
    meta = [set(volume.meta) for volume in volumes]
    fuse_volumes(*volumes, QUICK)
    assert all(torch.equal(volume.as_tensor(), values) for volume, values in zip(volumes, before, strict=True))
    assert [set(volume.meta) for volume in volumes] == meta


@pytest.mark.parametrize("fixed", ["MR", "CT"])
@pytest.mark.parametrize("spatial_dim", [0, 2])
def test_the_network_sees_mr_first_and_whole_volume_windows(
    monkeypatch: pytest.MonkeyPatch, fixed: str, spatial_dim: int
) -> None:
    """Slice by slice, the network gets the normalized volumes as they are: no slice is stretched."""
    seen = []

    def network(slices: Tensor) -> Tensor:
        seen.append(slices.clone())
        return slices[:, :1]

    monkeypatch.setattr(run_module, "fusion_method", lambda *_args: network)
    volumes = {"MR": made(cloud(), "MR"), "CT": made(cloud(1, top=2000.0) - 1000, "CT")}
    moving = {"MR": "CT", "CT": "MR"}[fixed]
    options = quick(plane={0: "sagittal", 2: "axial"}[spatial_dim], slices_per_batch=3)
    result = fuse_volumes(volumes[fixed], volumes[moving], options)
    normalized = {fixed: result.fixed_normalized.as_tensor(), moving: result.moving_normalized.as_tensor()}
    expected = split_into_slices(torch.cat([normalized["MR"], normalized["CT"]]), spatial_dim)
    kept = expected.flatten(1).amax(dim=1) > 0
    assert torch.equal(torch.cat(seen), expected[kept])
    assert max(len(slices) for slices in seen) == 3
    assert result.spatial_dim == spatial_dim
    mr = volumes["MR"].numpy()
    window = result.fixed_window if fixed == "MR" else result.moving_window
    line = np.clip((mr - window.lower) / (window.upper - window.lower), 0, 1)
    np.testing.assert_allclose(normalized["MR"].numpy(), line, atol=1e-5)


def test_the_window_of_the_moving_volume_comes_from_its_own_values() -> None:
    """The fixed grid covers a part of the moving scan only; the window is that of the whole."""
    moving = made(cloud(1, (20, 20, 20)), "MR", np.diag([1.0, 1.0, 1.0, 1.0]))
    fixed = made(cloud(0, (6, 6, 6)), "CT", np.diag([1.0, 1.0, 1.0, 1.0]))
    result = fuse_volumes(fixed, moving, QUICK)
    alone = fuse_volumes(moving, moving, QUICK)
    assert result.moving_window == alone.fixed_window


def test_the_network_runs_with_the_weights_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "secret_folder" / "tiny.safetensors"
    weights.parent.mkdir()
    save_weights(CDDFuse(CDDFuseConfig(channels=16, heads=2, blocks=1, detail_nodes=1)), weights, {})
    options = quick(method="cddfuse", weights=str(weights))
    results = [fuse_volumes(made(cloud(), "MR"), made(cloud(1), "PT"), options) for _ in range(2)]
    assert torch.equal(results[0].fused.as_tensor(), results[1].fused.as_tensor())
    assert 0.0 <= float(results[0].fused.min()) < float(results[0].fused.max()) <= 1.0
    method = results[0].record["method"]
    assert method["weights"] == results[0].record["options"]["weights"] == "tiny.safetensors"
    assert len(method["weights_sha256"]) == 64


def test_emission_scans_get_color_whoever_is_fixed() -> None:
    pair = made(cloud(), "MR"), made(cloud(1), "NM")
    assert fuse_volumes(*pair, QUICK).color is not None
    assert fuse_volumes(*reversed(pair), QUICK).color is not None
    assert fuse_volumes(pair[0], made(cloud(1), "CT"), QUICK).color is None


def test_a_guess_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    moving = made(cloud(1))
    del moving.meta["modality"], moving.meta["modality_source"]
    with caplog.at_level(logging.WARNING, logger="medfuse"):
        result = fuse_volumes(made(cloud(), "MR"), moving, QUICK)
    guess = result.modalities[1]
    note = f"the moving volume does not state its modality; its values look like {guess}"
    assert note in result.record["notes"]
    assert note in caplog.messages
    assert result.record["inputs"]["moving"]["modality_source"] == "guessed from the values"
    assert result.record["inputs"]["fixed"]["modality_source"] == "header"


def test_stretched_pixels_are_noted() -> None:
    long = np.diag([1.0, 1.0, 5.0, 1.0])
    pair = made(cloud(), "MR", long), made(cloud(1), "CT", long)
    assert any(
        "plane auto suits better" in note for note in fuse_volumes(*pair, quick(plane="coronal")).record["notes"]
    )
    assert fuse_volumes(*pair, QUICK).record["notes"] == []


def test_progress_names_the_steps() -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def start(self, step: str) -> None:
            self.heard.append(step)

        def advance(self, done: int, total: int) -> None:
            assert 0 <= done <= total

        def finish(self) -> None:
            self.heard.append("done")

    listener = Listener()
    result = fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT"), QUICK, listener)
    assert listener.heard[::2] == ["read", "register", "normalize", "slice", "network", "assemble", "report"]
    assert set(listener.heard[1::2]) == {"done"}
    assert list(result.record["seconds"]) == listener.heard[::2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"plane": "oblique"}, "plane is 'oblique'; choose one of auto"),
        ({"method": "magic"}, "method is 'magic'; choose one of auto, cddfuse, cddfuse-fast"),
        ({"fixed_modality": "US"}, "modality is 'US'; choose one of MR"),
        ({"moving_modality": "mr"}, "modality is 'mr'; choose one of MR"),
        ({"slices_per_batch": 0}, "slices_per_batch is 0; give a whole number of at least 1"),
    ],
)
def test_wrong_options_are_refused_when_they_are_made(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FusionOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"fixed_window": "brain"}, OptionError),
        ({"moving_window": "7,7"}, OptionError),
        ({"palette": "jet"}, OptionError),
        ({"device": "cuda:77"}, DeviceError),
        ({"method": "cddfuse", "weights": "absent.safetensors"}, WeightsError),
        ({"output": Path("a\0b")}, OutputError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object], error: type[Exception]
) -> None:
    monkeypatch.setattr(steps, "register_to_fixed", lambda *_args: pytest.fail("it was registered"))
    with pytest.raises(error) as raised:
        fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT"), quick(**wrong))
    assert "\n" not in str(raised.value)


def test_volumes_that_cannot_be_fused_are_refused(tmp_path: Path) -> None:
    good, far = made(cloud(), "MR"), OBLIQUE.copy()
    far[2, 3] += 500.0
    options = quick(output=tmp_path / "out")
    for moving, error in (
        (made(cloud(1), "CT", far), OverlapError),
        (made(np.full((9, 9, 9), np.nan), "CT"), IntensityError),
        (good[0], InputError),
        (tmp_path / "absent.nii.gz", InputError),
    ):
        with pytest.raises(error):
            fuse_volumes(good, moving, options)
    with pytest.raises(IntensityError, match="leaves no picture"):
        fuse_volumes(good, made(cloud(1), "CT"), quick(output=tmp_path / "out", moving_window="5000,6000"))
    assert list(tmp_path.iterdir()) == []
