"""Curves and pictures of a run: as JSON lines, in TensorBoard, in MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medfuse.errors import MissingExtraError, OutputError
from medfuse.training import TrainingOptions, train
from medfuse.training.logs import STEPS_NAME, opened_logs

# What sqlalchemy says of MLflow's own models.
DEPRECATED = "ignore::sqlalchemy.exc.SADeprecationWarning"


def read_events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_a_run_shows_its_curves_and_pictures(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    options = replace(tiny, stage_one_steps=1, stage_two_steps=2)
    record = train(slices, tmp_path / "weights.safetensors", options, "", logs=tmp_path / "logs")
    rows = [json.loads(line) for line in (tmp_path / "logs" / STEPS_NAME).read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 1, 2, 3, 3]  # two of them looks
    parts = [value for name, value in rows[2].items() if name.startswith("loss/")]
    assert rows[2]["loss"] == pytest.approx(sum(parts), rel=1e-5)
    assert rows[2]["learning_rate"] > 0.0
    look = record.curve[-1]
    assert rows[-1]["correlation/base"] == look["correlation"]["base"]
    assert rows[-1]["validation/CT-MRI/edge_transfer"] == look["validation"]["CT-MRI"]["edge_transfer"]

    events = read_events(tmp_path / "logs")
    curve = events.Scalars("correlation/detail")
    assert [event.step for event in curve] == [1, 3]
    assert curve[-1].value == pytest.approx(look["correlation"]["detail"], abs=1e-6)
    picture = events.Images("validation/PET-MRI")[-1]
    assert (picture.step, picture.height, picture.width) == (3, 64, 3 * 64)


def test_correlations_are_those_of_the_features(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    record = train(slices, tmp_path / "weights.safetensors", replace(tiny, stage_two_steps=0), "")
    for row in record.curve:
        assert set(row["correlation"]) == {"base", "detail"}
        assert all(-1.0 <= value <= 1.0 for value in row["correlation"].values())


def test_what_a_killed_run_has_logged_after_its_checkpoint_is_dropped(tmp_path: Path) -> None:
    with opened_logs(tmp_path, None, {}, 0) as logs:
        for step in range(1, 5):
            logs.scalars({"loss": float(step)}, step)
    with (tmp_path / STEPS_NAME).open("a") as file:
        file.write('{"step": 5, "lo')  # killed here
    with opened_logs(tmp_path, None, {}, 2) as logs:
        logs.scalars({"loss": 30.0}, 3)
    rows = [json.loads(line) for line in (tmp_path / STEPS_NAME).read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": 30.0}]
    assert [event.value for event in read_events(tmp_path).Scalars("loss")] == [1.0, 2.0, 30.0]


@pytest.mark.filterwarnings(DEPRECATED)
def test_mlflow_keeps_one_run_that_goes_on(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for done in (0, 2):
        with opened_logs(tmp_path / "logs", uri, {"seed": 3}, done) as logs:
            logs.scalars({"loss": float(done)}, done + 1)
            logs.picture("validation/CT-MRI", torch.rand(8, 24), done + 1)
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("medfuse").experiment_id])
    assert run.data.params == {"seed": "3"}
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")] == [
        (1, 0.0),
        (3, 2.0),
    ]
    assert len(list((tmp_path / "logs").rglob("*.png"))) == 2


@pytest.mark.filterwarnings(DEPRECATED)
def test_an_unusable_mlflow_server_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    with (
        pytest.raises(OutputError, match="MLflow cannot use 'abacus://here'"),
        opened_logs(tmp_path, "abacus://here", {}, 0),
    ):
        pass


def test_a_tool_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str) -> None:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("medfuse.extras.import_module", fail)
    with (
        pytest.raises(MissingExtraError, match=r"tensorboard is not installed; run: pip install 'medfuse\[train\]'"),
        opened_logs(tmp_path, None, {}, 0),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="logs cannot be written"), opened_logs(tmp_path / "file", None, {}, 0):
        pass


def test_without_a_folder_nobody_listens() -> None:
    with opened_logs(None, None, {}, 0) as logs:
        assert not logs
        logs.scalars({"loss": 1.0}, 1)
