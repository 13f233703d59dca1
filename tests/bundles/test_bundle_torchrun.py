"""Two processes train and judge a bundle together, on a CPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shipped_bundles import free_port
from test_bundle_training import PATCH, table

from medfuse.bundles import run_bundle

# What each process runs: both configs for many GPUs, one after the other, as MONAI's own command runs each. The second
# group of processes has a meeting point of its own: in that of the first it would find what the first has left.
MEMBER = """
import os, sys
from monai.bundle import run
bundle, data, output, patch_size, port = sys.argv[1:]
given = {"bundle_root": bundle, "dataset_dir": data, "output_dir": output, "patch_size": int(patch_size)}
given["batch_size"] = 2
train, many, evaluate, judge = (
    f"{bundle}/configs/{name}.json" for name in ("train", "multi_gpu_train", "evaluate", "multi_gpu_evaluate")
)
run(config_file=[train, many], epochs=2, steps_per_epoch=2, **given)
os.environ.update(TORCHELASTIC_USE_AGENT_STORE="False", MASTER_PORT=port)
run(config_file=[train, evaluate, judge], ckpt_path=f"{bundle}/models/model_trained.pt", **given)
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="is for processes on a CPU")
def test_two_processes_train_and_judge(tiny: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny["cddfuse_mr_ct"], tmp_path / "bundle"))
    member = tmp_path / "member.py"
    member.write_text(MEMBER, encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, *map(str, (member, bundle, pairs, tmp_path / "together", PATCH, free_port()))]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    trained = bundle / "models" / "model_trained.pt"
    before, after = (torch.load(path, weights_only=True) for path in (bundle / "models" / "model.pt", trained))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    given = {"dataset_dir": str(pairs), "device": "cpu", "patch_size": PATCH, "output_dir": str(tmp_path / "alone")}
    run_bundle(bundle, "evaluate", {**given, "ckpt_path": str(trained)})
    together, alone = (table(tmp_path / folder / "metrics.csv") for folder in ("together", "alone"))
    assert together == pytest.approx(alone, rel=1e-5, nan_ok=True)
    cases = [(tmp_path / folder / "val_VIF_worst_raw.csv").read_text().splitlines() for folder in ("together", "alone")]
    assert sorted(cases[0]) == sorted(cases[1])
