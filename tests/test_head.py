"""The layer that gives the logits, which is found in a network's graph."""

import copy

import pytest
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.convert import fuse
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks import registry
from sfic_bench.networks.head import head_modules, head_parameters, head_tensors


@pytest.mark.parametrize("name", [n for n in (*registry.names(), *registry.detector_names()) if n != "multi-task"])
def test_the_head_is_what_depends_on_the_number_of_classes(name: str) -> None:
    size = registry.input_size_of(name)
    network = registry.build(name, input_size=size, device="meta")
    (found,) = head_tensors(network)
    if name == "f3net":  # it has one logit for its two classes
        assert found == ["classifier.2.weight", "classifier.2.bias"]
        return
    other = registry.build(name, classes=3, input_size=size, device="meta").state_dict()
    assert found == [n for n, tensor in network.state_dict().items() if tensor.shape != other[n].shape]


@pytest.mark.parametrize("backbone", ["resnet26", "efficientnet_b0"])
def test_the_head_of_every_form_of_a_network_is_the_same(backbone: str) -> None:
    vanilla = registry.build(backbone, device="meta")
    sfic = api.build(backbone, alpha=0.5, beta=0.5, device="meta")
    fused = fuse(copy.deepcopy(sfic), for_training=True)
    names = {frozenset(head_parameters(network)) for network in (vanilla, sfic, fused)}
    (parameters,) = names
    assert {name.rpartition(".")[2] for name in parameters} == {"weight", "bias"}
    frozen = [name for name, _ in fused.named_parameters() if name not in parameters]
    assert len(frozen) > 50


class TwoHeads(nn.Module):
    """One linear layer in the middle, and two beside each other at the end, as in a distilled transformer."""

    def __init__(self, *, untraceable: bool = False) -> None:
        super().__init__()
        self.b, self.a, self.first = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 4)
        self.untraceable = untraceable

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.mean((2, 3))).relu()
        if self.untraceable and x.sum() > 0:
            return -x
        logits: Tensor = (self.a(x) + self.b(x)) / 2
        return logits


def test_heads_beside_each_other_are_found_by_the_graph_and_not_by_their_order() -> None:
    assert set(head_modules(TwoHeads())) == {"a", "b"}


def test_what_cannot_be_traced_has_its_last_layer_as_head() -> None:
    assert head_modules(TwoHeads(untraceable=True)) == ("first",)


def test_a_network_without_a_classifier_has_nothing_to_train_alone() -> None:
    with pytest.raises(UnsupportedModel, match=r"MultiTask has no linear layer .* leave --freeze out"):
        head_parameters(registry.build("multi-task"))
