"""Build the kernels for CPUs where there is a compiler; what medfuse is else stands in pyproject.toml."""

import platform

from setuptools import Extension, setup

FOLDER = "medfuse/networks/native"
EVERYWHERE = ["-std=c++17", "-O3", "-fno-math-errno", "-g0", "-pthread"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
FLAGS = {"x86_64": {"avx2": AVX2, "avx512": AVX512}, "aarch64": {"neon": []}, "arm64": {"neon": []}}

setup(
    ext_modules=[
        Extension(
            f"medfuse.networks.native._{name}",
            [f"{FOLDER}/kernels.cpp", f"{FOLDER}/gradients.cpp"],
            depends=[f"{FOLDER}/parts.h"],
            language="c++",
            extra_compile_args=[*EVERYWHERE, *flags],
            extra_link_args=["-pthread"],
            optional=True,  # without a compiler PyTorch does the work
        )
        for name, flags in FLAGS.get(platform.machine(), {}).items()
    ]
    + [
        Extension(
            "medfuse.registration.native._climb",
            ["medfuse/registration/native/climb.cpp"],
            language="c++",
            extra_compile_args=[*EVERYWHERE, "-ffp-contract=off"],  # products rounded alike everywhere
            optional=True,  # without a compiler numpy does the work
        )
    ]
)
