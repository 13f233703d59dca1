"""Training: the run learns, records, repeats itself, and stops when it goes wrong."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import pytest
import torch

from medfuse.errors import DeviceError, InputError, MedfuseError, OutputError
from medfuse.networks import CDDFuse, CDDFuseConfig, CDDFuseFast, CDDFuseFastConfig, build, read_provenance
from medfuse.training import TrainingOptions, train
from medfuse.training.logs import STEPS_NAME
from medfuse.training.stages import Terms


class Listener:
    """Writes down what a run tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def start(self, step: str) -> None:
        self.heard.append(("start", step))

    def advance(self, done: int, total: int) -> None:
        self.heard.append((done, total))

    def finish(self) -> None:
        self.heard.append(("finish",))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


def test_run_records_each_look_and_saves_loadable_weights(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    record = train(slices, output, tiny, "medfuse train slices")
    assert [(row["stage"], row["step"]) for row in record.curve] == [("I", 2), ("I", 3), ("II", 2), ("II", 3)]
    assert set(record.curve[0]["loss"]) == {
        "reconstruction_first",
        "reconstruction_second",
        "decomposition",
        "gradient",
    }
    assert set(record.curve[-1]["loss"]) == {"intensity", "gradient", "decomposition"}
    assert set(record.curve[-1]["validation"]) == {"CT-MRI", "PET-MRI"}
    assert record.skipped_steps == 0
    network = build("cddfuse", output)
    assert isinstance(network, CDDFuse)
    assert network.config == tiny.network
    assert network(torch.rand(1, 2, 16, 16)).shape == (1, 1, 16, 16)


def test_provenance_says_what_the_weights_depend_on(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    record = train(slices, output, tiny, "medfuse train slices")
    provenance = read_provenance(output)
    assert set(provenance) == {"command", "options", "data", "split", "environment", "record", "started_from"}
    assert provenance["split"] == {
        "rule": "as listed",
        "train": {"pairs": 4, "cases": 4},
        "validation": {"pairs": 2, "cases": 2},
    }
    assert provenance["command"] == "medfuse train slices"
    assert provenance["options"] == json.loads(json.dumps(asdict(tiny)))
    assert provenance["record"] == asdict(record)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in provenance["data"].values())
    assert provenance["environment"]["threads"] == 1
    assert str(slices.parent) not in str(provenance)


def test_loss_falls(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    options = replace(tiny, stage_one_steps=24, stage_two_steps=24, validate_every=24, learning_rate=3e-3, batch_size=4)
    train(slices, output, options, "", logs=output.parent / "logs")
    rows = [json.loads(line) for line in (output.parent / "logs" / STEPS_NAME).read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    for stage in (losses[:24], losses[24:]):
        assert fmean(stage[-6:]) < 0.95 * fmean(stage[:6])


def test_same_seed_gives_the_same_weights(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    states = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        train(slices, tmp_path / f"{name}.safetensors", replace(tiny, seed=seed), "")
        states.append(build("cddfuse", tmp_path / f"{name}.safetensors").state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_fusion_layers_are_trained_in_stage_two_only(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    torch.manual_seed(tiny.seed)
    untrained = CDDFuse(tiny.network).state_dict()
    for name, steps in (("one", (2, 0)), ("two", (0, 2))):
        options = replace(tiny, stage_one_steps=steps[0], stage_two_steps=steps[1])
        train(slices, tmp_path / f"{name}.safetensors", options, "")
        state = build("cddfuse", tmp_path / f"{name}.safetensors").state_dict()
        moved = {key.split(".")[0] for key in state if not torch.equal(state[key], untrained[key])}
        assert moved == (
            {"encoder", "decoder"} if name == "one" else {"encoder", "decoder", "base_fusion", "detail_fusion"}
        )


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"skip": "first"}, {"every_term": True}])
def test_variants_run(slices: Path, output: Path, tiny: TrainingOptions, change: dict[str, object]) -> None:
    if "precision" in change:
        tiny = replace(tiny, precision="bfloat16")
    elif "skip" in change:
        tiny = replace(tiny, network=replace(tiny.network, skip="first"))
    else:
        tiny = replace(tiny, stage_two=replace(tiny.stage_two, invented=6.0, lost=3.0))
    record = train(slices, output, replace(tiny, stage_one_steps=1, stage_two_steps=1), "")
    last = record.curve[-1]
    assert all(value == value for value in last["loss"].values())
    assert ("invented" in last["loss"]) == ("every_term" in change)
    assert record.skipped_steps == 0
    assert build("cddfuse", output).skip == tiny.network.skip


def test_progress_is_told(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    listener = Listener()
    train(slices, output, replace(tiny, stage_one_steps=2, stage_two_steps=1), "", progress=listener)
    assert listener.heard == [
        ("start", "stage I"),
        (1, 2),
        (2, 2),
        ("finish",),
        ("start", "stage II"),
        (1, 1),
        ("finish",),
    ]


def test_number_of_threads_is_given_back(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(slices, output, replace(tiny, stage_one_steps=1, stage_two_steps=0, threads=1), "")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert read_provenance(output)["environment"]["threads"] == 1


def spoiled(bad_steps: set[int]) -> object:
    """Return an objective of stage I that is NaN at some steps."""
    calls = iter(range(1, 1000))

    def objective(network: CDDFuse, image: torch.Tensor, weights: object) -> Terms:
        factor = torch.nan if next(calls) in bad_steps else 1.0
        return {"drawn": factor * network.reconstruct(image[:, :1])[0].mean()}

    return objective


def test_a_step_that_is_not_finite_is_skipped_and_counted(
    slices: Path, output: Path, tiny: TrainingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medfuse.training.trainer.stage_one_terms", spoiled({1, 3}))
    record = train(slices, output, replace(tiny, stage_one_steps=5, stage_two_steps=0), "")
    assert record.skipped_steps == 2
    assert read_provenance(output)["record"]["skipped_steps"] == 2
    assert all(torch.isfinite(weight).all() for weight in build("cddfuse", output).parameters())


def test_too_many_steps_that_are_not_finite_stop_the_run(
    slices: Path, output: Path, tiny: TrainingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medfuse.training.trainer.stage_one_terms", spoiled(set(range(1, 100))))
    with pytest.raises(MedfuseError, match=r"stage I, step 11: the loss was not finite in 11 steps; lower the"):
        train(slices, output, replace(tiny, stage_one_steps=30, validate_every=30), "")
    assert not output.exists()


def test_existing_weights_are_kept_unless_overwriting(slices: Path, output: Path, tiny: TrainingOptions) -> None:
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        train(slices, output, tiny, "")
    assert output.read_bytes() == b"precious"
    train(slices, output, replace(tiny, stage_one_steps=1, stage_two_steps=0), "", overwrite=True)
    assert read_provenance(output)["command"] == ""


def test_bad_output_is_refused_before_the_run(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    with pytest.raises(OutputError, match=r"end in \.safetensors"):
        train(slices, tmp_path / "weights.pth", tiny, "")
    with pytest.raises(OutputError, match="is no folder"):
        train(slices, tmp_path / "none" / "weights.safetensors", tiny, "")


def test_bad_data_and_device_are_refused(slices: Path, tmp_path: Path, output: Path, tiny: TrainingOptions) -> None:
    with pytest.raises(InputError, match=r"holds no pairs: give a folder with splits\.json"):
        train(tmp_path / "none", output, tiny, "")
    with pytest.raises(InputError, match="at least 65 a side"):
        train(slices, output, replace(tiny, patch_size=65), "")
    with pytest.raises(DeviceError, match="abacus"):
        train(slices, output, replace(tiny, device="abacus"), "")


def test_training_goes_on_from_weights(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train(slices, first, tiny, "first leg")
    still = replace(tiny, network=CDDFuseConfig(), stage_one_steps=0, stage_two_steps=1, learning_rate=1e-12)
    train(slices, second, still, "second leg", start_from=first)
    before, after = (build("cddfuse", path).state_dict() for path in (first, second))
    assert all(torch.allclose(before[name], after[name], atol=1e-9) for name in before)
    started_from = read_provenance(second)["started_from"]
    assert isinstance(started_from, dict)
    assert started_from["command"] == "first leg"
    options = read_provenance(second)["options"]
    assert isinstance(options, dict)
    assert options["network"] == asdict(tiny.network)  # the one that was trained, not the one that was asked for


def test_the_fast_network_is_taught_by_another_one(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    numbers = CDDFuseFastConfig(channels=4, drawing_channels=2)
    alone = replace(tiny, architecture="cddfuse-fast", network=numbers, stage_one_steps=0, stage_two_steps=2)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train(slices, first, alone, "")
    assert isinstance(build("cddfuse-fast", first), CDDFuseFast)
    terms = replace(alone.stage_two, intensity=0.0, gradient=0.0, decomposition=0.0, distillation=1.0)
    record = train(slices, second, replace(alone, seed=1, teacher=str(first), stage_two=terms), "")
    assert set(record.curve[-1]["loss"]) == {"distillation"}
