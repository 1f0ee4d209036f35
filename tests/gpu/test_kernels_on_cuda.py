"""The Triton kernel on a CUDA device; needs torch, triton and pytest: ``pytest --confcutdir tests/gpu tests/gpu``."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.kernels import Activation, KernelStage2, TileShape, interactive_conv, lack
from sfic_bench.kernels.launch import launch
from sfic_bench.kernels.operator import by_convolutions
from sfic_bench.kernels.tuning import on_device
from sfic_bench.kernels.workload import Operands
from sfic_bench.measure.conditions import NumberFormat
from sfic_bench.measure.devices import cuda_libraries
from sfic_bench.measure.execution import tensors_of
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.nn import Pair, Split, Stage2
from sfic_bench.nn.fused import ReducedStage2

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(torch.cuda.is_available() and lack(torch.empty(1, device="cuda")) != "", reason="needs triton"),
]

Size = tuple[int, int]

LIMITS = {torch.bfloat16: 2**-8 * 1.01, torch.float16: 2**-11 * 1.01, torch.float32: 1e-5}
"""Largest error over the largest output: half a unit in the last of 8 or 11 binary places, or what sums lose."""

GUARD = 4096
"""Elements of NaN on either side of each tensor; a multiple of 16, so that tensors are as aligned as torch's own."""


@pytest.fixture(autouse=True)
def _exact_float32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def poisoned(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    elements = torch.Size(shape).numel()
    memory = torch.full((elements + 2 * GUARD,), torch.nan, dtype=dtype, device="cuda")
    inside = memory[GUARD : GUARD + elements]
    if len(shape) < 4:
        return inside, memory
    batch, channels, height, width = shape
    return inside.view(batch, height, width, channels).permute(0, 3, 1, 2), memory


def operands(
    size: Size, other: Size, channels: tuple[int, int, int], kernel: int, dtype: torch.dtype, images: int = 2
) -> Operands:
    torch.manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return poisoned(shape, dtype)[0].copy_(torch.randn(shape, device="cuda"))

    c, d, outputs = channels
    return Operands(
        drawn(images, c, *size), drawn(outputs, c, kernel, kernel), drawn(images, d, *other),
        drawn(outputs, d, kernel, kernel), drawn(outputs), drawn(images, outputs, *size),
    )  # fmt: skip


def error(given: Operands, activation: Activation, tile: TileShape | None = None) -> float:
    result, memory = poisoned((len(given.own), len(given.own_weight), *given.own.shape[2:]), given.own.dtype)
    launch(result, given, activation, tile=tile)
    right = by_convolutions(given.to(torch.float64), activation)
    assert memory[:GUARD].isnan().all() and memory[-GUARD:].isnan().all(), "memory beside the result was written"
    assert not result.isnan().any(), "a NaN was read, or a pixel was not written"
    return float((result.double() - right).abs().max() / right.abs().max())


CALLS: list[tuple[Size, Size, tuple[int, int, int], int]] = [
    ((32, 32), (16, 16), (64, 64, 64), 3),
    ((32, 32), (16, 16), (64, 192, 256), 1),
    ((16, 16), (32, 32), (64, 64, 128), 3),
    ((16, 16), (32, 32), (128, 64, 64), 1),
    ((32, 32), (8, 8), (32, 32, 32), 3),
    ((32, 32), (24, 24), (64, 64, 64), 3),
    ((24, 24), (32, 32), (64, 64, 64), 3),
    ((24, 20), (12, 20), (40, 24, 72), 5),
    ((17, 13), (9, 11), (17, 9, 35), 3),
    ((7, 7), (7, 7), (8, 16, 24), 1),
    ((1, 1), (1, 1), (8, 8, 8), 3),
    ((12, 12), (1, 1), (8, 0, 8), 3),
]


@pytest.mark.parametrize("dtype", list(LIMITS), ids=str)
@pytest.mark.parametrize(("size", "other", "channels", "kernel"), CALLS)
def test_the_kernel_is_right(
    size: Size, other: Size, channels: tuple[int, int, int], kernel: int, dtype: torch.dtype
) -> None:
    assert error(operands(size, other, channels, kernel, dtype), Activation.RELU) < LIMITS[dtype]


@pytest.mark.parametrize("activation", list(Activation))
def test_every_activation(activation: Activation) -> None:
    given = operands((16, 16), (8, 8), (32, 32, 32), 1, torch.float16)
    assert error(given, activation) < LIMITS[torch.float16]


@pytest.mark.parametrize("other", [(16, 16), (64, 64)])
def test_every_tile(other: Size) -> None:
    given = operands((32, 32), other, (128, 128, 128), 3, torch.bfloat16)
    for tile in given.workload.tiles():
        assert error(given, Activation.NONE, tile) < LIMITS[torch.bfloat16], tile


def by_operator(given: Operands, activation: Activation) -> Tensor:
    own, own_weight, other, other_weight, bias, residual = given
    return interactive_conv(own, own_weight, other, other_weight, bias, residual, activation)


def test_gradients() -> None:
    given = operands((16, 16), (8, 8), (32, 32, 32), 3, torch.float32)
    gradients = []
    for function in (by_operator, by_convolutions):
        leaves = Operands(*(None if x is None else x.detach().clone().requires_grad_() for x in given))  # type: ignore[arg-type]
        function(leaves, Activation.RELU).square().mean().backward()  # type: ignore[no-untyped-call]
        gradients.append([x.grad for x in leaves if x is not None])
    for got, right in zip(*gradients, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("beta", [0.5, 0.75])
def test_a_network_on_the_path_triton(beta: float) -> None:
    torch.manual_seed(0)
    network = api.build("resnet26", alpha=0.5, beta=beta).eval().cuda()
    fused = api.fuse(network, kernels="auto")
    assert sum(isinstance(m, KernelStage2) for m in fused.modules()) == 22
    x = torch.randn(2, 3, 128, 128, device="cuda").to(memory_format=torch.channels_last)
    ready = EXECUTION_PATHS["triton"].make(fused, (x,), False)
    result = ready.run()
    assert isinstance(result, Tensor)
    with torch.no_grad():
        right = network.double()(x.double())
        torch.testing.assert_close(result.double(), right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))
        compiled = torch.compile(fused, fullgraph=True, dynamic=False)(x)
    torch.testing.assert_close(compiled.double(), right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))


class Layer(nn.Module):
    """Stage 2 of S and F and a ReLU, as a network of its own."""

    def __init__(self, stage: ReducedStage2) -> None:
        super().__init__()
        self.stage = stage
        self.ends_in_relu = isinstance(stage, KernelStage2)
        if isinstance(stage, KernelStage2):
            stage.activation = Activation.RELU

    def forward(self, s: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        s, f = self.stage(Pair(s, f))
        return (s, f) if self.ends_in_relu else (s.relu(), f.relu())


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("channels", "size"), [(32, 64), (64, 32), (128, 16), (256, 8)])
def test_two_launches_take_less_time_than_four_convolutions(channels: int, size: int, kernel: int) -> None:
    """Stage 2 with ReLU in bfloat16, batch 64, α = β = .5, each in a CUDA graph; cuDNN tries its algorithms."""
    torch.manual_seed(0)
    split = Split(channels, channels)
    stage = Stage2(split, split, kernel, padding=kernel // 2)
    inputs = tuple(
        torch.randn(64, channels, n, n).to("cuda", torch.bfloat16, memory_format=torch.channels_last)
        for n in (size, size // 2)
    )
    times, results = {}, {}
    with cuda_libraries(NumberFormat.BF16):
        for path, layer in (("triton", KernelStage2(stage)), ("cuda-graph", ReducedStage2(stage))):
            network = Layer(layer).to("cuda", torch.bfloat16).eval()
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            ready = EXECUTION_PATHS[path].make(network, inputs, False)
            results[path] = [t.clone() for t in tensors_of(ready.run())]
            times[path] = on_device(ready.run)
    for one, other in zip(results["triton"], results["cuda-graph"], strict=True):
        torch.testing.assert_close(one, other, rtol=2**-6, atol=2**-6 * float(other.abs().max()))
    assert times["triton"] < times["cuda-graph"]


def test_a_layer_takes_what_autocast_gives() -> None:
    given = operands((8, 8), (4, 4), (16, 16, 16), 3, torch.float32)
    with torch.autocast("cuda", torch.bfloat16):
        assert interactive_conv(*given).dtype == torch.bfloat16
