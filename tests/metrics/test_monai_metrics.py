"""The measures as MONAI metrics."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from ignite.engine import Engine
from monai.handlers.ignite_metric import IgniteMetricHandler
from torch import Tensor

from medfuse import metrics
from medfuse.errors import OptionError
from medfuse.metrics.monai_metrics import FusionMetric, FusionSuite, of_first, of_second, of_worst

VIF = metrics.visual_information_fidelity


@pytest.fixture
def batch(images: list[Tensor]) -> dict[str, Tensor]:
    first, second, fused = images
    return {"pred": fused, "label": torch.cat([first, second], dim=1)}


def test_a_metric_is_the_mean_over_the_images_of_all_batches(images: list[Tensor], batch: dict[str, Tensor]) -> None:
    metric = FusionMetric(metrics.invented_structure)
    for i in range(2):
        metric(batch["pred"][i : i + 1], batch["label"][i : i + 1])
    assert metric.aggregate().item() == pytest.approx(metrics.invented_structure(*images).mean().item())
    assert metric.aggregate("none").flatten().tolist() == metrics.invented_structure(*images).tolist()
    metric.reset()
    metric(batch["pred"][1:], batch["label"][1:])
    assert metric.aggregate().item() == pytest.approx(metrics.invented_structure(*images)[1].item())


def test_a_value_that_is_undefined_does_not_count(images: list[Tensor], batch: dict[str, Tensor]) -> None:
    batch["label"][0] = 0.0
    metric = FusionMetric(of_first(VIF))
    metric(batch["pred"], batch["label"])
    assert metric.aggregate().item() == pytest.approx(VIF(images[0], images[2])[1].item())


def test_a_pairwise_measure_looks_at_the_source_it_is_told(images: list[Tensor]) -> None:
    first, second, fused = images
    assert torch.equal(of_first(VIF)(*images), VIF(first, fused))
    assert torch.equal(of_second(VIF)(*images), VIF(second, fused))
    assert torch.equal(of_worst(VIF)(*images), torch.minimum(VIF(first, fused), VIF(second, fused)))
    lost = of_worst(metrics.lost_structure, higher_is_better=False)
    assert torch.equal(lost(first, second, first), metrics.lost_structure(second, first))


def test_an_engine_gets_a_metric_and_a_suite_by_name(images: list[Tensor], batch: dict[str, Tensor]) -> None:
    engine = Engine(lambda _engine, data: (data["pred"], data["label"]))
    suite = FusionSuite(partial(metrics.sound_suite, data_range=255.0))
    for name, metric in (("VIF", FusionMetric(of_worst(VIF))), ("sound", suite)):
        IgniteMetricHandler(metric_fn=metric, output_transform=lambda output: output).attach(engine, name)
    engine.run([batch])
    expected = metrics.sound_suite(*images)
    assert engine.state.metrics["VIF"] == pytest.approx(of_worst(VIF)(*images).mean().item())
    for name, values in expected.items():
        assert engine.state.metrics[name] == pytest.approx(values.nanmean().item())


@pytest.mark.parametrize("channels", [1, 3])
def test_other_than_two_sources_are_refused(batch: dict[str, Tensor], channels: int) -> None:
    sources = batch["label"][:, :1].expand(-1, channels, -1, -1)
    with pytest.raises(OptionError, match="give both sources as two channels"):
        FusionMetric(metrics.invented_structure)(batch["pred"], sources)
    with pytest.raises(OptionError, match="y is nothing"):
        FusionSuite()(batch["pred"])


def test_the_measures_themselves_need_no_monai() -> None:
    program = "import sys, medfuse.metrics; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
