"""The moving volume comes onto the fixed grid, and its metadata says so."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from fusion_fixtures import Fused
from made_volumes import OBLIQUE, cloud, made

from medfuse.errors import OptionError, OverlapError
from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.options import RegistrationOptions
from medfuse.phantom import Phantom
from medfuse.transforms import RegisterToFixedd
from medfuse.transforms.register import register_to_fixed

TRUST = RegistrationOptions(method="none")


def test_the_moving_volume_lies_on_the_fixed_grid_and_stays_itself() -> None:
    fixed = made(cloud(), "MR", filename_or_obj="t1.nii.gz", nifti_orientation="fixed")
    moving = made(
        cloud(1, (9, 11, 8)), "PT", OBLIQUE @ np.diag([1.5, 1.1, 1.2, 1.0]), units="SUV", filename_or_obj="pet.nii"
    )
    registered = register_to_fixed(fixed, moving, TRUST)
    for volume in (registered.moving, registered.inside):
        assert torch.equal(volume.affine, fixed.affine)
        assert volume.shape == fixed.shape
        assert volume.meta["nifti_orientation"] == "fixed"
    meta = registered.moving.meta
    assert (meta["modality"], meta["units"], meta["filename_or_obj"]) == ("PT", "SUV", "pet.nii")
    assert registered.inside.dtype == torch.bool
    assert "modality" not in registered.inside.meta


def test_the_same_grid_gives_the_same_values() -> None:
    moving = made(cloud(1), "CT")
    registered = register_to_fixed(made(cloud()), moving, TRUST)
    assert torch.equal(registered.moving.as_tensor(), moving.as_tensor())
    assert bool(registered.inside.all())


def test_outside_the_moving_scan_is_marked_and_dark() -> None:
    """The moving scan ends after four slices of the same grid."""
    moving = made(cloud(1)[..., :4] + 7, "CT")
    registered = register_to_fixed(made(cloud()), moving, TRUST)
    assert bool(registered.inside[..., :4].all())
    assert not bool(registered.inside[..., 4:].any())
    torch.testing.assert_close(registered.moving[..., :4].as_tensor(), moving.as_tensor(), rtol=0, atol=1e-4)
    assert set(registered.moving[..., 4:].unique().tolist()) == {float(moving.min())}


def test_scans_that_do_not_meet_are_refused_if_nothing_is_searched() -> None:
    far = OBLIQUE.copy()
    far[0, 3] += 500.0
    with pytest.raises(OverlapError):
        register_to_fixed(made(cloud()), made(cloud(), affine=far), TRUST)


@pytest.mark.parametrize(("name", "most_mm"), [("CT", 2.0), ("PT", 4.0)])
def test_a_known_motion_is_found(
    phantom_small: Phantom, fused_ct: Fused, fused_pet: Fused, name: str, most_mm: float
) -> None:
    found = {"CT": fused_ct, "PT": fused_pet}[name].result.registration.fixed_to_moving_ras
    truth, points = phantom_small.fixed_to_moving_ras("MR_T1", name), phantom_small.head_points_mm("MR_T1")
    assert target_registration_error_mm(np.eye(4), truth, points).mean_mm > 5.0
    assert target_registration_error_mm(found, truth, points).mean_mm < most_mm


def test_the_transform_gives_what_the_function_gives() -> None:
    fixed, moving = made(cloud()), made(cloud(1)[..., :4], "CT")
    transform = pickle.loads(pickle.dumps(RegisterToFixedd(options=TRUST)))
    data = {"fixed": fixed, "moving": moving, "name": "x"}
    done = transform(data)
    expected = register_to_fixed(fixed, moving, TRUST)
    assert torch.equal(done["moving"].as_tensor(), expected.moving.as_tensor())
    assert torch.equal(done["inside"].as_tensor(), expected.inside.as_tensor())
    assert np.array_equal(done["fixed_to_moving_ras"].numpy(), expected.registration.fixed_to_moving_ras)
    assert done["fixed_to_moving_ras"].dtype == torch.float64
    assert done["name"] == "x"
    assert data["moving"] is moving


def test_an_unknown_way_to_register_is_refused() -> None:
    with pytest.raises(
        OptionError, match="registration is 'elastic'; choose one of rigid, affine, deformable, verify, none"
    ):
        RegistrationOptions(method="elastic")
