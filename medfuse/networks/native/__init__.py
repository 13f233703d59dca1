"""Step 5 of 8, network: kernels in C++ for CPUs, where they could be built.

They compute what the modules of PyTorch beside them compute, in single precision, and are used by themselves where they
can be: on a CPU, with plain tensors, for inference and for training that keeps no activations. Everywhere else, and
where no compiler was at hand when medfuse was installed, PyTorch does the work.
"""

from medfuse.networks.native.block_weights import BlockWeights
from medfuse.networks.native.blocks import add_products, refine_rows, run_block
from medfuse.networks.native.gradients import block_gradients
from medfuse.networks.native.library import instruction_set, without_kernels
from medfuse.networks.native.nodes import NodeWeights, run_node

__all__ = [
    "BlockWeights",
    "NodeWeights",
    "add_products",
    "block_gradients",
    "instruction_set",
    "refine_rows",
    "run_block",
    "run_node",
    "without_kernels",
]
