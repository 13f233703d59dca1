"""The command line answers at once: what needs no tensor library does not load one."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys

import pytest

MOST_SECONDS_OF_CPU = 0.5
HEAVY = ("torch", "monai", "SimpleITK", "nibabel", "pydicom", "matplotlib", "scipy", "kornia", "ignite")

RUN_AND_LIST_MODULES = """
import json, sys
from medfuse.cli.main import main
sys.argv[0] = "medfuse"
try:
    main()
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}), file=sys.stderr)
"""


def run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run Python in a process of its own; return it with its user and system seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modules_after(*arguments: str) -> set[str]:
    done, _ = run("-c", RUN_AND_LIST_MODULES, *arguments)
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["code"] in (0, None), done.stderr
    return set(report["modules"])


def test_help_takes_less_than_half_a_second_of_cpu() -> None:
    """The median of three, after one run that compiles what is not yet compiled."""
    command = ("-c", "import sys; sys.argv[0] = 'medfuse'; from medfuse.cli.main import main; main()", "--help")
    done, _ = run(*command)
    assert done.returncode == 0
    assert "Usage: medfuse" in done.stdout
    assert statistics.median(run(*command)[1] for _ in range(3)) < MOST_SECONDS_OF_CPU


@pytest.mark.parametrize(
    "arguments",
    [
        *[("--help",), ("fuse", "--help"), ("fuse-slices", "--help"), ("evaluate", "--help"), ("phantom", "--help")],
        *[("benchmark", "fusion", "--help"), ("demo", "--help"), ("info",), ("info", "--json")],
    ],
    ids=" ".join,
)
def test_light_commands_load_no_heavy_library(arguments: tuple[str, ...]) -> None:
    assert modules_after(*arguments).isdisjoint(HEAVY)


def test_importing_medfuse_loads_no_heavy_library() -> None:
    done, _ = run("-c", "import sys, medfuse; print(*{name.partition('.')[0] for name in sys.modules})")
    assert set(done.stdout.split()).isdisjoint(HEAVY)


def test_info_is_json_that_describes_the_installation() -> None:
    done, _ = run(
        "-c", "import sys; sys.argv[0] = 'medfuse'; from medfuse.cli.main import main; main()", "info", "--json"
    )
    description = json.loads(done.stdout)
    assert {"medfuse", "python", "packages", "methods", "weights"} <= set(description)
    assert description["packages"]["torch"] != "not installed"
