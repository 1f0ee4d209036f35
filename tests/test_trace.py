"""Traces: dead parameters, inputs of the wrong size, and the traced network, which is left as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sfic_bench
from sfic_bench.counting import InputTooSmall, count, smallest_input, trace
from sfic_bench.errors import InvalidValue, UnsupportedModel


def test_dead_and_frozen_parameters() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused, self.cut, self.added = (nn.Linear(4, 4) for _ in range(4))
            self.frozen = nn.Linear(4, 4).requires_grad_(False)
            self.gate = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            y = self.frozen(self.used(x)) * self.gate
            y.add_(self.added(x))
            with torch.no_grad():
                self.unused(x)
            result: Tensor = y + self.cut(x).detach()
            return result

    traced = trace(Partly(), (1, 4))
    dead = {f"{w.module}.{w.name}" for w in traced.weights if w.dead}
    assert dead == {"unused.weight", "unused.bias", "cut.weight", "cut.bias"}
    parameters = count(Partly(), (1, 4)).parameters
    assert (parameters.total, parameters.trainable, parameters.dead) == (104, 84, 40)


def test_dead_parameters_agree_with_autograd() -> None:
    model = sfic_bench.build("resnet26", alpha=0.5, beta=0.5)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    unreached = {name for name, p in model.named_parameters() if p.grad is None}
    traced = trace(model, (2, 3, 32, 32))
    assert {f"{w.module}.{w.name}" for w in traced.weights if w.dead} == unreached == set()


class Faulty(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.frozen_norm = nn.BatchNorm2d(3).eval()

    def forward(self, x: Tensor) -> Tensor:
        self.norm(x)
        raise KeyError("in the middle")


def test_the_model_is_left_as_it_was_also_after_an_error() -> None:
    model = Faulty()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(KeyError):
        count(model, (1, 3, 8, 8))
    assert model.training and model.norm.training and not model.frozen_norm.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert set(model.state_dict()) == set(before)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    # Nothing stays intercepted, and the next count is right.
    assert F.relu(torch.ones(1)).device.type == "cpu"
    assert count(nn.Conv2d(3, 1, 1), (1, 3, 8, 8)).macs == 3 * 64


def test_buffers_are_not_written() -> None:
    class Counter(nn.Module):
        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls.copy_(self.calls + 1)
            return x + self.calls

    model = Counter()
    count(model, (1, 2))
    assert model.calls == 0


def test_a_model_with_real_weights_may_be_on_any_device() -> None:
    on_cpu, on_meta = (sfic_bench.build("resnet26", alpha=0.5, beta=0.5, device=d) for d in ("cpu", "meta"))
    assert count(on_cpu, (1, 3, 64, 64)).ops == count(on_meta, (1, 3, 64, 64)).ops


@pytest.mark.parametrize(("name", "smallest"), [("vgg13", 32), ("vgg19", 32), ("resnet50", 1), ("mobilenet", 1)])
def test_smallest_input(name: str, smallest: int) -> None:
    model = sfic_bench.build(name, device="meta")
    assert smallest_input(model) == smallest
    trace(sfic_bench.build(name, alpha=0.5, beta=0.1, device="meta"), (1, 3, smallest, smallest))


def test_too_small_an_input_names_the_module() -> None:
    with pytest.raises(InputTooSmall, match=r"max_pool gets 1×1, .*features\.34"):
        count(sfic_bench.build("vgg13", device="meta"), (1, 3, 31, 31))


@pytest.mark.parametrize("size", [(1, 3, 0, 8), (5,), (1, 4, 8, 8)])
def test_inputs_that_do_not_fit(size: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValue):
        count(nn.Conv2d(3, 4, 3), size)


def test_networks_that_need_values_say_where() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(UnsupportedModel, match="a count has only shapes"):
        count(nn.Sequential(Branching()), (1, 3))
