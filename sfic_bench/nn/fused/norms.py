"""BatchNorms of fused networks: joined for both branches, or folded into the convolution in front."""

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sfic_bench.nn.fused.dense import concatenated
from sfic_bench.nn.naming import Piece, name_as_unfused
from sfic_bench.nn.per_branch import PerBranch

TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""What a BatchNorm may hold."""


def fold(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    """A convolution's weight and bias with the BatchNorm behind it (its running statistics) folded in."""
    assert norm.running_mean is not None and norm.running_var is not None
    return fuse_conv_bn_weights(weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)


def join_norms(norm: PerBranch) -> nn.BatchNorm2d:
    """One BatchNorm for [S; F] from a `PerBranch` of two BatchNorms, with the state-dict names of the two."""
    branches = {
        name: branch for name in ("spatial", "frequency") if isinstance(branch := getattr(norm, name), nn.BatchNorm2d)
    }
    first = next(iter(branches.values()))
    joined = copy.deepcopy(first)
    joined.num_features = sum(branch.num_features for branch in branches.values())
    pieces: dict[str, Piece] = {}
    for tensor_name in TENSORS:
        tensors = {name: getattr(branch, tensor_name) for name, branch in branches.items()}
        if any(t is None for t in tensors.values()):
            continue
        source = getattr(first, tensor_name)
        if not source.dim():  # the number of batches, which is the same for both
            pieces |= {f"{name}.{tensor_name}": (tensor_name, ()) for name in tensors}
            setattr(joined, tensor_name, source.clone())
            continue
        start = 0
        for name, t in tensors.items():
            pieces[f"{name}.{tensor_name}"] = (tensor_name, (slice(start, start + len(t)),))
            start += len(t)
        value = concatenated([t.detach() for t in tensors.values()])
        if isinstance(source, nn.Parameter):
            value = nn.Parameter(value, requires_grad=source.requires_grad)
        setattr(joined, tensor_name, value)
    joined.train(first.training)
    name_as_unfused(joined, pieces)
    return joined
