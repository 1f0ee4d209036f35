"""Each output of Stage 2 in one launch: two convolutions, the resize between them, and what follows, as one operator.

The operator ``sfic_bench::interactive_conv`` runs as a Triton kernel on CUDA devices and as torch's convolutions
everywhere else, also where Triton is not installed; see docs/kernels.md. Importing this room imports no Triton.
"""

from sfic_bench.kernels.activation import Activation
from sfic_bench.kernels.launch import lack
from sfic_bench.kernels.layer import KernelStage2, takes
from sfic_bench.kernels.operator import interactive_conv
from sfic_bench.kernels.tuning import tuned
from sfic_bench.kernels.workload import TileShape, Workload

__all__ = [
    "Activation", "KernelStage2", "TileShape", "Workload", "interactive_conv", "lack", "takes", "tuned",
]  # fmt: skip
