"""Tracing of layers whose code hides what they compute."""

from collections.abc import Callable
from types import MethodType

import pytest
import torch
from helpers.networks import Applied, Body, Chain, with_identity_mcs
from torch import Tensor, nn

from sfic_bench.convert import graph_of, to_sfic
from sfic_bench.errors import UnsupportedModel


class Doubled(torch.autograd.Function):
    """A function with a derivative of its own."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return gradient * 2


doubled: Callable[[Tensor], Tensor] = Doubled.apply


class Activation(nn.Module):
    """An activation with a derivative of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return doubled(x).relu()


def test_an_activation_with_a_derivative_of_its_own_is_a_layer() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.activation = Activation()

        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[-1] > 1
            activated: Tensor = self.activation(x)
            return x + activated

    vanilla = Body(Own()).double()
    graph, x = graph_of(vanilla), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert "middle.activation" in {str(node.target) for node in graph.graph.nodes}
    sfic = with_identity_mcs(to_sfic(graph, 0.5, 1.0))
    torch.testing.assert_close(sfic(x), vanilla(x))
    sfic(x).sum().backward()


def test_a_function_with_a_derivative_of_its_own_is_refused() -> None:
    """torch's C++ code would take what is traced for a tensor, and crash."""
    network = Body(Applied(lambda x: x[: len(x)].flip(1) + doubled(x)))
    with pytest.raises(UnsupportedModel, match=r"at middle.*its code calls a torch.autograd.Function"):
        graph_of(network)


def test_a_forward_that_was_set_on_the_network_is_the_one_that_is_traced() -> None:
    network = Chain()
    kind = type(network)
    network.forward = MethodType(lambda self, x: self.head(self.body(x).amax((2, 3))), network)  # type: ignore[method-assign]
    graph = graph_of(network)
    x = torch.randn(2, 3, 16, 16)
    assert type(network) is kind
    torch.testing.assert_close(graph(x), network(x))
    assert not torch.allclose(graph(x), kind.forward(network, x))
