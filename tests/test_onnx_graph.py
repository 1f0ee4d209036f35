"""What exported ONNX graphs have for the sake of runtimes, and that they compute the same."""

import importlib
import importlib.util
from pathlib import Path

import pytest
import torch
from helpers.networks import small
from torch import Tensor, nn

from sfic_bench.deploying.formats import FORMATS, onnx_to_openvino, write

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in FORMATS["onnx"].packages), reason="needs the extra onnx"
    ),
]


@pytest.mark.parametrize("beta", [0.5, 0.3])
def test_onnx_has_integer_resizes_as_factors_and_even_pools_rounded_down(beta: float, tmp_path: Path) -> None:
    """ONNX Runtime keeps its blocked layout over these alone."""
    model, path, x = small(beta), tmp_path / "network.onnx", torch.randn(1, 3, 48, 48)
    write(model, x, path, "onnx")
    nodes = importlib.import_module("onnx").load(path).graph.node
    resizes_to_sizes = [len(node.input) > 3 for node in nodes if node.op_type == "Resize"]
    pools_round_up = [
        "ceil_mode" in [a.name for a in node.attribute] for node in nodes if node.op_type == "AveragePool"
    ]
    assert resizes_to_sizes and any(resizes_to_sizes) == (beta != 0.5)
    assert pools_round_up and any(pools_round_up) == (beta != 0.5)
    assert "Slice" not in [node.op_type for node in nodes]
    with torch.no_grad():
        torch.testing.assert_close(FORMATS["onnx"].load(path)(x), model(x), rtol=1e-3, atol=1e-4)


def weights_used(model: nn.Module, x: Tensor, path: Path) -> list[tuple[int, ...]]:
    """The shapes of the weights in the file of ``model``, which computes the same by each runtime."""
    write(model, x, path, "onnx")
    graph = importlib.import_module("onnx").load(path).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    assert sorted(weights) == sorted({name for node in graph.node for name in node.input} & set(weights))
    for format in RUN_BY_OTHERS:
        file = path.with_suffix(".xml") if format == "openvino" else path
        if format == "openvino":
            onnx_to_openvino(path, file)
        with torch.no_grad():
            torch.testing.assert_close(FORMATS[format].load(file)(x), model(x), rtol=1e-4, atol=1e-5)
    return [weights[name] for node in graph.node for name in node.input if name in weights]


RUN_BY_OTHERS = [name for name in ("onnx", "openvino") if all(map(importlib.util.find_spec, FORMATS[name].packages))]


def test_groups_of_several_inputs_and_one_output_are_written_as_depthwise_convolutions_and_sums(tmp_path: Path) -> None:
    shared = nn.Conv2d(12, 4, (5, 3), (2, 1), padding=(2, 1), groups=4, bias=False)
    others = [
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(8, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Sigmoid(),
        nn.Conv2d(4, 2, 1, groups=2),
    ]
    first, second = (nn.Sequential(nn.Conv2d(n, 12, 1), nn.MaxPool2d(3, 1), shared) for n in (3, 4))
    model = nn.Sequential(first, second, *others).eval()
    used = weights_used(model, torch.randn(2, 3, 40, 40), tmp_path / "network.onnx")
    assert used.count((12, 1, 5, 3)) == used.count((4, 12, 1, 1)) == 2  # behind pools, which are not taken apart
    assert used.count((4, 1, 1, 1)) == used.count((2, 4, 1, 1)) == 1  # behind groups, which are not either
    assert (4, 4, 3, 3) in used and (4, 1, 3, 3) in used  # other groups stay


class FirstStage(nn.Module):
    """Two grouped convolutions, one behind a filter as in Stage 1; with ``whole``, something else reads their input."""

    def __init__(self, inputs: int, *, whole: bool) -> None:
        super().__init__()
        self.stem, self.filter = (
            nn.Conv2d(3, 4 * inputs, 3, 2, 1),
            nn.Conv2d(4 * inputs, 4 * inputs, 5, 1, 2, groups=4 * inputs),
        )
        self.spatial, self.frequency = (nn.Conv2d(4 * inputs, 4, 3, stride, 1, groups=4) for stride in (1, 2))
        self.whole = nn.Conv2d(4 * inputs, 4, 1) if whole else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        total: Tensor = self.spatial(x).relu() + nn.functional.interpolate(
            self.frequency(self.filter(x)), scale_factor=2.0
        )
        return total if self.whole is None else total + self.whole(x)


@pytest.mark.parametrize("inputs", [2, 3])
def test_what_a_first_stage_with_groups_reads_is_made_apart(inputs: int, tmp_path: Path) -> None:
    x = torch.randn(1, 3, 32, 32)
    used = weights_used(FirstStage(inputs, whole=False).eval(), x, tmp_path / "network.onnx")
    assert used.count((4, 3, 3, 3)) == used.count((4, 1, 5, 5)) == inputs and used.count((4, 1, 3, 3)) == 2 * inputs
    used = weights_used(FirstStage(inputs, whole=True).eval(), x, tmp_path / "other.onnx")
    assert used.count((4 * inputs, 3, 3, 3)) == used.count((4 * inputs, 1, 5, 5)) == 1
    assert used.count((4 * inputs, 1, 3, 3)) == used.count((4, 4 * inputs, 1, 1)) - 1 == 2


@pytest.mark.skipif("openvino" not in RUN_BY_OTHERS, reason="needs the extra openvino")
def test_openvino_reads_images_as_they_are_decoded(tmp_path: Path) -> None:
    model, x = small(0.5), torch.randn(2, 3, 48, 48)
    write(model, x, tmp_path / "network.xml", "openvino")
    session = FORMATS["openvino"].load(tmp_path / "network.xml", 2, True)
    with torch.no_grad():
        for given in (x, x.contiguous(memory_format=torch.channels_last)):
            torch.testing.assert_close(session(given), model(x), rtol=1e-3, atol=1e-4)


class Enlarged(nn.Module):
    """A sum as Stage 2 has it: an enlarged 1×1 convolution, a residual if ``has_residual``, and a convolution."""

    def __init__(self, channels: int, has_residual: bool) -> None:
        super().__init__()
        self.first, self.low, self.own = (
            nn.Conv2d(a, b, 1) for a, b in ((3, channels), (channels, 80), (channels, 80))
        )
        self.wide = nn.Conv2d(channels, 80, 1) if has_residual else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        total: Tensor = nn.functional.interpolate(self.low(nn.functional.avg_pool2d(x, 2)), scale_factor=2.0)
        if self.wide is not None:
            total = total + self.wide(x).relu()
        result: Tensor = total + self.own(x)
        return result


@pytest.mark.parametrize(
    ("channels", "has_residual", "read"), [(64, True, "AveragePool"), (65, True, "Conv"), (64, False, "Conv")]
)
def test_what_is_enlarged_before_a_residual_is_a_small_input(
    channels: int, has_residual: bool, read: str, tmp_path: Path
) -> None:
    """So ONNX Runtime and OpenVINO add the residual in passing; without one they add the other convolution."""
    model, path, x = Enlarged(channels, has_residual).eval(), tmp_path / "network.onnx", torch.randn(2, 3, 16, 16)
    write(model, x, path, "onnx")
    nodes = importlib.import_module("onnx").load(path).graph.node
    made_by = {name: node.op_type for node in nodes for name in node.output}
    assert [made_by[node.input[0]] for node in nodes if node.op_type == "Resize"] == [read]
    with torch.no_grad():
        torch.testing.assert_close(FORMATS["onnx"].load(path)(x), model(x), rtol=1e-4, atol=1e-5)


class TwoEnlarged(nn.Module):
    """The sums at the end of a residual block whose shortcut has a convolution; ``factor`` is of the second resize.

    In an SFIC network Stage 2 adds the shortcut's result term by term, and Stage 3 as a whole.
    """

    def __init__(self, factor: int, as_whole: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(3, 80, 1) for _ in range(4))
        self.factor, self.as_whole = factor, as_whole

    def forward(self, x: Tensor) -> Tensor:
        low, lower = nn.functional.avg_pool2d(x, 2), nn.functional.avg_pool2d(x, self.factor)
        first, second, own, shortcut = self.convolutions
        one = nn.functional.interpolate(first(low), scale_factor=2.0)
        other = nn.functional.interpolate(second(lower), scale_factor=float(self.factor))
        residual = other + shortcut(x)
        result: Tensor = (one + own(x)) + residual if self.as_whole else one + residual + own(x)
        return result


@pytest.mark.parametrize("as_whole", [False, True])
@pytest.mark.parametrize(("factor", "resizes"), [(2, 1), (4, 2)])
def test_two_tensors_are_added_before_they_are_enlarged_alike(
    factor: int, resizes: int, as_whole: bool, tmp_path: Path
) -> None:
    model, path, x = TwoEnlarged(factor, as_whole).eval(), tmp_path / "network.onnx", torch.randn(2, 3, 16, 16)
    write(model, x, path, "onnx")
    operations = [node.op_type for node in importlib.import_module("onnx").load(path).graph.node]
    assert operations.count("Resize") == resizes and operations.count("Add") == 3
    with torch.no_grad():
        torch.testing.assert_close(FORMATS["onnx"].load(path)(x), model(x), rtol=1e-4, atol=1e-5)
