"""Networks fused for training: state dicts, optimiser steps, memory and modes."""

import weakref

import pytest
import torch
from helpers.networks import Chain, randomised
from torch import Tensor, nn

from sfic_bench.convert import fuse, to_sfic
from sfic_bench.networks import registry
from sfic_bench.nn.recompute import Derived


@pytest.mark.parametrize("name", ["resnet26", "vgg13", "mobilenet"])
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_state_dicts_go_both_ways(name: str, beta: float) -> None:
    reference = to_sfic(randomised(registry.build(name)), alpha=0.3, beta=beta)
    other = to_sfic(randomised(registry.build(name), seed=1), alpha=0.3, beta=beta)
    fused = fuse(other, for_training=True)
    assert set(fused.state_dict()) == set(reference.state_dict())
    fused.load_state_dict(reference.state_dict())
    for key, value in fused.state_dict().items():
        assert torch.equal(value, reference.state_dict()[key]), key
    other.load_state_dict(fused.state_dict())
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(other(x), reference(x), rtol=0, atol=0)
    torch.testing.assert_close(fused(x), reference(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        fused.load_state_dict({})


def test_training_fused_is_training_unfused() -> None:
    torch.manual_seed(0)
    reference = to_sfic(randomised(Chain()), alpha=0.5, beta=1.0).train()
    fused = fuse(reference, for_training=True)
    assert fused.training
    optimisers = [torch.optim.Adam(m.parameters(), lr=1e-2) for m in (reference, fused)]
    for _ in range(5):
        x = torch.randn(4, 3, 12, 12, dtype=torch.float64)
        for model, optimiser in zip((reference, fused), optimisers, strict=True):
            optimiser.zero_grad()
            model(x).square().mean().backward()
            optimiser.step()
    for key, value in reference.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[key], value, rtol=1e-8, atol=1e-8)


def test_recomputed_tensors_are_not_kept() -> None:
    pool, conv = nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)
    x = torch.randn(1, 4, 12, 12, requires_grad=True)
    derived = Derived.of(x).then(pool)
    value = weakref.ref(derived.value)
    y = derived.into(conv)
    del derived
    assert value() is None
    (got,) = torch.autograd.grad(y.square().sum(), x)
    (expected,) = torch.autograd.grad(conv(pool(x)).square().sum(), x)
    torch.testing.assert_close(got, expected)


def test_recomputing_from_a_changed_tensor_is_refused() -> None:
    x = torch.randn(1, 4, 12, 12)
    y = Derived.of(x).then(nn.AvgPool2d(2)).into(nn.Conv2d(4, 4, 3))
    x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()  # type: ignore[no-untyped-call]  # torch declares no types for it


def test_a_fused_step_takes_no_more_memory() -> None:
    """Autograd keeps no more for a fused network than for the unfused, and less than for vanilla at β < 1."""

    def kept(model: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        alive = model.train()(x)  # holds its graph, so that no address is given out twice
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            alive = model(x)
        assert alive.requires_grad
        weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
        return sum(size for address, size in sizes.items() if address not in weights)

    x = torch.randn(2, 3, 64, 64)
    vanilla = registry.build("resnet26")
    for beta in (0.5, 0.75, 1.0):
        reference = to_sfic(vanilla, alpha=0.5, beta=beta)
        fused = kept(fuse(reference, for_training=True))
        assert fused <= kept(reference)
        assert beta == 1 or fused < kept(vanilla)


def test_modes_of_a_network_fused_for_training() -> None:
    reference = to_sfic(Chain(), alpha=0.5, beta=1.0).train()
    reference.get_submodule("body.1").eval()
    fused = fuse(reference, for_training=True)
    assert {n for n, m in fused.named_modules() if not m.training} == {"body.1"}
    assert not any(m.training for m in fuse(reference).modules())
