"""Networks whose code goes by the size of their input, and what tracing leaves as it was."""

import copy
import functools
import math
import pickle
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.by_size import (
    BySize,
    Code,
    Layer,
    assertion,
    batch_kept,
    channel_range,
    condition,
    gate_of_zeros,
    integer,
    kernel_of_size,
    keyword,
    list_of_inputs,
    made_on_the_way,
    rounding,
    same_padding,
    size_loop,
    table,
)
from helpers.networks import Chain, with_identity_mcs
from torch import Tensor, fx, nn

from sfic_bench.convert import fuse, graph_of, placement_of, to_sfic
from sfic_bench.convert.tracing import trace
from sfic_bench.convert.valued_tracer import ValuedTracer
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.networks import registry

STYLES = [
    *(condition, assertion, integer, rounding, same_padding, channel_range, size_loop, list_of_inputs, keyword),
    *(batch_kept, gate_of_zeros, kernel_of_size, table, made_on_the_way),
]


@pytest.mark.parametrize("code", STYLES, ids=lambda code: code.__name__)
def test_the_graph_serves_other_sizes_and_numbers_of_images(code: Code) -> None:
    network = BySize(code).eval()
    with pytest.raises((ValueError, TypeError, RuntimeError, LookupError)):
        fx.symbolic_trace(network)
    graph = graph_of(network)
    assert {"a", "b", "c", "d", "head"} <= {str(n.target) for n in graph.graph.nodes if n.op == "call_module"}
    for images, size in ((1, 16), (4, 24)):
        x = torch.randn(images, 3, size, size)
        torch.testing.assert_close(graph(x), network(x))


class Several(nn.Module):
    """Two inputs, options, a buffer, attention, a norm that averages over all batches, a dictionary as its result."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, momentum=None)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("places", torch.randn(8, 32, 32))

    def forward(self, x: Tensor, y: Tensor, *, mask: Tensor | None = None, **others: object) -> dict[str, Tensor]:
        if x.shape != y.shape or mask is not None or others:
            raise ValueError
        x = self.norm(self.conv(x)) + self.conv(y)
        b, c, h, w = x.shape
        if h <= 32 and w <= 32:
            x = x + self.places[:, :h, :w]
        tokens = F.adaptive_avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        tokens = self.attention(tokens, tokens, tokens)[0] / math.sqrt(h * w)
        return {"tokens": tokens.transpose(1, 2).reshape(b, c, -1), "map": x}


@pytest.mark.parametrize("training", [True, False])
def test_a_network_of_many_parts(training: bool) -> None:
    network = Several().train(training)
    graph = graph_of(network, 32)
    for images, size in ((2, 16), (5, 24)):
        x, y = torch.randn(2, images, 3, size, size)
        torch.testing.assert_close(graph(x, y), network(x, y))


CONVERTED = [condition, assertion, rounding, same_padding, size_loop, keyword, batch_kept]


@pytest.mark.parametrize("code", CONVERTED, ids=lambda code: code.__name__)
def test_at_beta_1_the_converted_network_is_vanillas(code: Code) -> None:
    network = BySize(code).double().eval()
    sfic = with_identity_mcs(to_sfic(network, alpha=0.5, beta=1.0, input_size=16))
    for x in torch.randn(1, 3, 16, 16).double(), torch.randn(3, 3, 24, 24).double():
        with torch.no_grad():
            expected = network(x)
            torch.testing.assert_close(sfic(x), expected)
            torch.testing.assert_close(fuse(sfic)(x), expected)


def test_a_check_of_sizes_moves_no_stage() -> None:
    plain, by_size = BySize(lambda layer, x: layer(x)), BySize(condition)
    assert placement_of(graph_of(by_size)) == placement_of(graph_of(plain))


def test_a_graph_refuses_a_size_at_which_the_code_goes_another_way() -> None:
    network = BySize(condition)
    sfic = to_sfic(network, alpha=0.5, beta=0.5)
    for converted in sfic, fuse(sfic):
        with pytest.raises(InvalidValue, match="converted for images of 3×256×256, and its code would go another way"):
            converted(torch.randn(1, 3, 17, 17))
    odd = to_sfic(network, alpha=0.5, beta=0.5, input_size=17)
    assert odd(torch.randn(1, 3, 33, 33)).shape == (1, 2)
    with pytest.raises(InvalidValue, match="3×17×17"):
        odd(torch.randn(1, 3, 16, 16))


def test_the_check_is_kept_by_copies() -> None:
    graph = graph_of(BySize(condition))
    for same in copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), fx.symbolic_trace(graph):
        x = torch.randn(1, 3, 16, 16)
        torch.testing.assert_close(same(x), graph(x))
        with pytest.raises(InvalidValue, match="another way"):
            same(torch.randn(1, 3, 17, 17))


def size_that_was_tried(network: nn.Module, input_size: int | None = None) -> str:
    with pytest.raises(UnsupportedModel) as error:
        graph_of(network, input_size)
    return str(error.value)


@pytest.mark.parametrize(
    ("attribute", "value", "tried"),
    [
        ("nothing", None, "3×256×256"),
        ("input_size", 64, "3×64×64"),
        ("input_size", (32, 48), "3×32×48"),
        ("default_cfg", {"input_size": (3, 331, 331)}, "3×331×331"),
        ("pretrained_cfg", {"input_size": [3, 20, 20]}, "3×20×20"),
        ("input_size", "large", "3×256×256"),
        ("default_cfg", {"input_size": (3, -1, 0)}, "3×256×256"),
    ],
)
def test_the_size_is_the_networks_own_or_256(attribute: str, value: object, tried: str) -> None:
    network = BySize(lambda layer, x: layer(x) if x.sum() > 0 else x)
    setattr(network, attribute, value)
    assert f"tried with images of {tried}:" in size_that_was_tried(network)
    assert f"{tried.split('×')[0]}×40×40" in size_that_was_tried(network, 40)


def test_the_number_of_channels_is_the_first_convolutions() -> None:
    network = BySize(condition)
    network.a = nn.Conv2d(1, 6, 3, padding=1)
    graph = graph_of(network)
    x = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(graph(x), network(x))


def mean_decides(layer: Layer, x: Tensor) -> Tensor:
    return layer(x) if x.shape[2] > 3 and x.mean() > 0 else x


def item_decides(layer: Layer, x: Tensor) -> Tensor:
    return layer(x) if x.shape[2] > 3 and x.max().item() > 0 else x


def places_decide(layer: Layer, x: Tensor) -> Tensor:
    return layer(x) if x.shape[2] > 3 and len((x > 0).nonzero()) > 3 else x


@pytest.mark.parametrize("code", [mean_decides, item_decides, places_decide], ids=lambda code: code.__name__)
def test_code_that_asks_for_values_is_refused(code: Code) -> None:
    with pytest.raises(
        UnsupportedModel,
        match=r"torch.fx cannot trace BySize, tried with images of 3×256×256: its code asks for the values of a tensor",
    ):
        graph_of(BySize(code))


def test_assignment_to_a_part_is_refused() -> None:
    def shift(layer: Layer, x: Tensor) -> Tensor:
        if x.shape[1] > 3:
            x[:, :3] = 0
        return layer(x)

    with pytest.raises(UnsupportedModel, match="assigns to a part of a tensor"):
        graph_of(BySize(shift))


def image_by_image(layer: Layer, x: Tensor) -> Tensor:
    return torch.stack([layer(y) for y in x])


def range_of_images(layer: Layer, x: Tensor) -> Tensor:
    return torch.cat([layer(x[i : i + 1]) for i in range(x.shape[0])])


@pytest.mark.parametrize("code", [image_by_image, range_of_images], ids=lambda code: code.__name__)
def test_code_that_goes_by_the_number_of_images_is_refused(code: Code) -> None:
    with pytest.raises(UnsupportedModel, match="does something else for 2 images than for 31"):
        graph_of(BySize(code))


def test_an_error_of_the_networks_own_names_place_and_size() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), BySize(assertion))
    with pytest.raises(UnsupportedModel, match=r"\(at 1.*3×256×256: RuntimeError.*another input_size may serve"):
        graph_of(network)


class Busy(BySize):
    """A network whose forward pass changes attributes, containers, a buffer, a training flag and random generators."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__(condition)
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.seen: list[object] = []
        self.cache: dict[str, object] = {}
        self.latest: object = None

    def forward(self, x: Tensor, logits: bool = True) -> Tensor:
        self.calls += 1
        self.latest = self.norm(x)
        self.seen.append(x)
        self.cache[f"{x.shape[2]}"] = x
        self.c.eval()
        noise = torch.rand(3, 1, 1) + random.random() + np.random.rand()
        return super().forward(x + noise)


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_the_network_and_the_generators_as_they_were(training: bool) -> None:
    network = Busy().train(training)
    attributes = [{**vars(module)} for module in network.modules()]
    state = copy.deepcopy(network.state_dict())
    drawn = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    graph = graph_of(network)
    assert [{**vars(module)} for module in network.modules()] == attributes
    assert network.seen == [] and network.cache == {} and network.c.training is training
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert (random.getstate(), str(np.random.get_state())) == drawn[1:]
    assert [module.training for module in graph.modules()] == [training] * len(list(graph.modules()))
    assert {"int", "float", "len", "max", "min"}.isdisjoint(globals())


def test_a_failed_tracing_leaves_them_too() -> None:
    network = Busy()
    network.code = mean_decides
    state = copy.deepcopy(network.state_dict())
    zeros = torch.zeros
    with pytest.raises(UnsupportedModel):
        graph_of(network)
    assert network.seen == [] and network.cache == {} and network.latest is None
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)
    assert torch.zeros is zeros and "max" not in globals()


def test_nothing_of_a_real_network_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = BySize(condition)

    def convolution(*_: object, **__: object) -> None:
        raise AssertionError("a real convolution")

    real = torch.conv2d
    monkeypatch.setattr(F, "conv2d", lambda x, *rest, **named: real(x, *rest, **named) if x.is_meta else convolution())
    graph_of(network)
    assert not any(parameter.is_meta for parameter in graph_of(network).parameters())


@functools.lru_cache(maxsize=8)
def ramp(width: int) -> Tensor:
    return torch.arange(width) / width


def test_what_a_cache_holds_after_tracing_is_not_used() -> None:
    network = BySize(lambda layer, x: layer(x + ramp(x.shape[3])) if x.shape[2] > 3 else x)
    x = torch.randn(1, 3, 256, 256)
    ramp.cache_clear()
    expected = network(x)
    for _ in range(2):
        torch.testing.assert_close(graph_of(network)(x), expected)
        torch.testing.assert_close(network(x), expected)
    assert type(ramp(256)) is Tensor


@pytest.mark.parametrize("build", [Chain, lambda: registry.build("densenet121", device="meta")])
def test_both_tracings_give_one_graph_where_no_size_decides(build: Callable[[], nn.Module]) -> None:
    network = build()
    expected = str(fx.symbolic_trace(network).graph)
    assert str(trace(network).graph) == expected
    assert str(ValuedTracer(torch.empty(2, 3, 64, 64, device="meta")).trace(network)) == expected
