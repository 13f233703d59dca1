"""Fusion that can be undone: within the tolerance, whatever the size and however the fused image is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medfuse.errors import InputError, OptionError, UnreadableFileError
from medfuse.io.remainder_file import Remainder, read_remainder, write_remainder
from medfuse.networks import Unfusing, UnfusingConfig
from medfuse.unfuse import fuse_reversibly, keep_remainder, possible_sources, unfuse


def pair(height: int = 12, width: int = 16) -> Tensor:
    return torch.rand(2, 2, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> Unfusing:
    torch.manual_seed(0)
    made = Unfusing(UnfusingConfig(fusing_nodes=2, latent_nodes=1, hidden=6))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


@pytest.mark.parametrize("levels", [0, 255, 65535])
@pytest.mark.parametrize("size", [(12, 16), (7, 9), (1, 1)])
def test_both_sources_come_back(network: Unfusing, tmp_path: Path, size: tuple[int, int], levels: int) -> None:
    image = pair(*size)
    fused, remainder = fuse_reversibly(image, network, levels=levels)
    assert fused.shape == (2, 1, *size)
    assert fused.dtype == torch.float32
    if levels:
        torch.testing.assert_close(fused * levels, (fused * levels).round(), atol=1e-2, rtol=0.0)
    write_remainder(remainder, tmp_path / "fused.remainder.npz")
    back = unfuse(fused, read_remainder(tmp_path / "fused.remainder.npz"), network)
    assert float((back - image).abs().max()) <= 1.001e-4


def test_whole_gray_levels_come_back_exactly(network: Unfusing) -> None:
    image = (255.0 * pair()).round() / 255.0
    fused, remainder = fuse_reversibly(image, network, tolerance=1.9e-3, levels=255)
    assert torch.equal((255.0 * unfuse(fused, remainder, network)).round(), (255.0 * image).round())


def test_a_larger_tolerance_makes_a_smaller_file(network: Unfusing, tmp_path: Path) -> None:
    sizes = []
    for tolerance in (1e-4, 2e-3):
        remainder = fuse_reversibly(pair(64, 64), network, tolerance)[1]
        write_remainder(remainder, tmp_path / f"{tolerance}.npz")
        sizes.append((tmp_path / f"{tolerance}.npz").stat().st_size)
    assert sizes[1] < 0.8 * sizes[0]


def test_what_is_shown_is_what_the_network_fuses(network: Unfusing) -> None:
    image = pair()
    with torch.no_grad():
        torch.testing.assert_close(fuse_reversibly(image, network)[0], network(image), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("tolerance", [1e-17, 0.0, float("nan")])
def test_a_tolerance_that_cannot_be_kept_is_refused(network: Unfusing, tolerance: float) -> None:
    with pytest.raises(OptionError, match="sources are kept in float32, give at least 1e-06"):
        fuse_reversibly(pair(), network, tolerance)


def test_the_tolerance_holds_for_any_image_that_is_shown(network: Unfusing) -> None:
    """What lies between the network and the viewer may do what it likes: what it does is kept too."""
    image = pair(9, 7)
    shown = (0.5 * image.mean(dim=1, keepdim=True)).round(decimals=2)
    back = unfuse(shown, keep_remainder(image, shown, network), network)
    assert float((back - image).abs().max()) <= 1e-4


def test_black_slices_cost_nothing_and_stay_black(network: Unfusing) -> None:
    image = pair()
    image[0], image[1, 1] = 0.0, 0.0
    fused, remainder = fuse_reversibly(image, network)
    assert not remainder.rest[0].any()
    back = unfuse(fused, remainder, network)
    assert float(back[0].abs().max()) == float(back[1, 1].abs().max()) == 0.0
    assert float((back - image).abs().max()) <= 1e-4


def test_what_does_not_belong_together_is_refused(network: Unfusing) -> None:
    fused, remainder = fuse_reversibly(pair(), network)
    other = Unfusing(network.config)
    with pytest.raises(InputError, match="of a network with other weights"):
        unfuse(fused, remainder, other)
    with pytest.raises(InputError, match=r"the fused image is \(2, 1, 10, 16\), the remainder of 2 \(12, 16\)"):
        unfuse(fused[:, :, 2:], remainder, network)
    with pytest.raises(InputError, match="of another fused image, or this one was changed since"):
        unfuse(fused.flip(-1), remainder, network)


def test_a_damaged_remainder_is_refused(network: Unfusing, tmp_path: Path) -> None:
    path = tmp_path / "fused.remainder.npz"
    remainder = fuse_reversibly(pair(), network)[1]
    write_remainder(remainder, path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"nothing", b""):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="not a remainder"):
            read_remainder(path)
    with pytest.raises(UnreadableFileError, match="not a remainder"):
        read_remainder(tmp_path / "missing.npz")
    np.savez(path, rest=np.zeros(3))
    with pytest.raises(UnreadableFileError, match="not a remainder"):
        read_remainder(path)
    write_remainder(replace(remainder, size=(40, 16)), path, overwrite=True)
    with pytest.raises(UnreadableFileError, match="not a remainder"):
        read_remainder(path)


def test_whole_numbers_of_any_sign_are_kept(tmp_path: Path) -> None:
    extremes = np.array([0, 1, -1, 255, -256, 2**31 - 1, -(2**31)], np.int32)
    rest, beyond, correction = (
        np.resize(extremes[::order], shape).astype(np.int32)
        for order, shape in ((1, (1, 4, 2, 3)), (-1, (1, 1, 4, 6)), (1, (1, 2, 4, 5)))
    )
    black = np.resize([True, False, False], (1, 2, 4, 5))
    written = Remainder(rest, beyond, correction, black, 1e-3, 1e-4, (4, 5), "abc", "def")
    write_remainder(written, tmp_path / "it.npz")
    write_remainder(written, tmp_path / "again.npz")
    found = read_remainder(tmp_path / "it.npz")
    for name in ("rest", "beyond", "correction", "black"):
        assert np.array_equal(getattr(found, name), getattr(written, name)), name
        assert getattr(found, name).dtype == getattr(written, name).dtype
    assert replace(found, rest=rest, beyond=beyond, correction=correction, black=black) == written
    assert (tmp_path / "it.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_without_the_remainder_the_possible_sources_spread(network: Unfusing) -> None:
    fused = pair()[:, :1, :11, :9]
    found, again, other = (possible_sources(fused, network, draws=8, seed=seed) for seed in (0, 0, 1))
    assert found.mean.shape == found.deviation.shape == (2, 2, 11, 9)
    assert torch.equal(found.mean, again.mean)
    assert not torch.equal(found.mean, other.mean)
    assert float(found.deviation.min()) >= 0.0
    assert float(found.deviation.mean()) > 1e-3


def test_the_mean_and_deviation_are_those_of_the_draws(network: Unfusing) -> None:
    fused, generator = pair()[:, :1], torch.Generator().manual_seed(3)
    with torch.no_grad():
        draws = torch.stack([network.draw(fused, generator) for _ in range(5)])
    found = possible_sources(fused, network, draws=5, seed=3)
    torch.testing.assert_close(found.mean, draws.mean(dim=0))
    torch.testing.assert_close(found.deviation, draws.std(dim=0), atol=1e-5, rtol=1e-4)


def test_the_deviation_is_widened_by_what_is_stored_with_the_network(network: Unfusing) -> None:
    factors = (1.5, 3.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0)
    wide = Unfusing(replace(network.config, widening=factors))
    wide.load_state_dict(network.state_dict())
    fused = pair()[:, :1]
    plain = possible_sources(fused, network, draws=4)
    for modality, expected in (("", (1.5, 3.0)), ("CT", (2.0, 4.0)), ("PT", (1.0, 1.0)), ("US", (1.5, 3.0))):
        found = possible_sources(fused, wide, draws=4, modality=modality)
        torch.testing.assert_close(found.mean, plain.mean)
        factor = torch.tensor(expected)[:, None, None]
        torch.testing.assert_close(found.deviation, factor * plain.deviation)


def test_one_draw_has_no_spread(network: Unfusing) -> None:
    with pytest.raises(OptionError, match="draws is 1; give a whole number of at least 2"):
        possible_sources(pair()[:, :1], network, draws=1)
