"""The execution path `triton`, its tiles and its reasons, without a GPU: devices and timers are stand-ins."""

import types
from collections.abc import Callable

import pytest
import torch
from helpers.kernels import expected, random_operands
from torch import nn

from sfic_bench import api, timing
from sfic_bench.extras import install_command
from sfic_bench.kernels import Activation, KernelStage2, TileShape, Workload, interactive_conv, lack, tuned, tuning
from sfic_bench.kernels import launch as launch_module
from sfic_bench.kernels import operator as operator_module
from sfic_bench.kernels.launch import launch, pixel_map
from sfic_bench.kernels.workload import Operands
from sfic_bench.measure import execution
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.execution import Ready, Unavailable
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.variant import Stage2Layer

PATH = EXECUTION_PATHS["triton"]

WORK = Workload.of_shapes((2, 128, 32, 32), (128, 128, 3, 3), (2, 128, 16, 16), element_bytes=2)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_tiles_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_best", {})


def test_on_a_cpu_its_rows_say_why_they_have_no_time() -> None:
    layers = [Stage2Layer(channels=16), Stage2Layer(channels=16, alpha=0.5, beta=0.5)]
    stop = Stop(max_seconds=1, min_rounds=2, max_rounds=2)
    conditions = Conditions(batch_size=1, input_size=8)
    (family,) = timing.measure(layers, ["fused", "triton"], conditions, timing.Machine(clock=CpuClock()), stop)
    reason = "the Triton kernel needs a CUDA device, and this runs on cpu"
    rows = [(r.path, r.status, r.reason) for r in family.rows]
    assert rows == [("fused", "ok", ""), ("triton", "unavailable", reason)] * 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"triton": False}, f"needs the package triton: {install_command('kernels')}"),
        ({"capability": (7, 5)}, "needs compute capability 8.0"),
        ({"dtype": torch.float64}, "computes in bfloat16, float16 and float32, not in float64"),
    ],
)
def test_reasons(changes: dict[str, object], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"triton": True, "capability": (9, 0), "dtype": torch.bfloat16} | changes
    monkeypatch.setattr(launch_module, "has_triton", lambda: values["triton"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: values["capability"])
    x = types.SimpleNamespace(device=torch.device("cuda"), dtype=values["dtype"])
    said = lack(x)  # type: ignore[arg-type]
    assert reason in said and bool(said) == bool(reason)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A CPU that is taken for a GPU with Triton, and what is done on it."""
    done: list[str] = []

    def graph(model: nn.Module, inputs: tuple[torch.Tensor, ...], training: bool) -> Ready:
        done.append("captured")
        return Ready(run=execution._step(model, model, inputs, training), setup_s=1.0, peak_bytes={"graph_pool": 8})

    def launched(result: torch.Tensor, operands: Operands, activation: Activation) -> None:
        done.append("tuned" if tuning._timers else "launched")
        result.copy_(expected(operands, activation))

    monkeypatch.setattr(execution, "lack", lambda _: "")
    monkeypatch.setattr(execution, "cuda_graph", graph)
    monkeypatch.setattr(operator_module, "lack", lambda _: "")
    monkeypatch.setattr(operator_module, "launch", launched)
    return done


def test_tiles_are_found_before_the_graph_is_captured(device: list[str]) -> None:
    model = api.fuse(api.build("mobilenet", alpha=0.5, beta=0.5).eval(), kernels="auto")
    x = torch.randn(1, 3, 64, 64)
    calls = 2 * sum(isinstance(m, KernelStage2) for m in model.modules())
    assert calls > 0
    ready = PATH.make(model, (x,), False)
    assert device == ["tuned"] * calls + ["captured"]
    assert ready.setup_s > 1.0 and ready.peak_bytes == {"graph_pool": 8}
    with torch.no_grad():
        plain = api.fuse(api.build("mobilenet", alpha=0.5, beta=0.5).eval())
        plain.load_state_dict(model.state_dict())
        torch.testing.assert_close(ready.run(), plain(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("beta", [None, 1.0])
def test_a_network_without_pairs_of_two_sizes_is_captured_as_it_is(device: list[str], beta: float | None) -> None:
    model = api.fuse(api.build("mobilenet", alpha=None if beta is None else 0.5, beta=beta).eval(), kernels="auto")
    PATH.make(model, (torch.randn(1, 3, 64, 64),), False)
    assert device == ["captured"]


def test_a_network_whose_stages_the_kernel_does_not_take_gets_no_time(device: list[str]) -> None:
    model = api.fuse(api.build("mobilenet", alpha=0.3, beta=0.5).eval(), kernels="auto")
    stages = [m for m in model.modules() if isinstance(m, KernelStage2)]
    assert not stages
    with pytest.raises(Unavailable, match=r"takes no Stage 2 of this network: .* multiples of 8"):
        PATH.make(model, (torch.randn(1, 3, 64, 64),), False)
    assert device == []


def test_only_the_path_triton_is_fused_with_kernels() -> None:
    assert [path.name for path in EXECUTION_PATHS.values() if path.kernels == "auto"] == ["triton"]
    assert PATH.fused and PATH.limits == "CUDA only; needs the extra kernels"


class OutOfResources(RuntimeError):
    """As Triton's, which is known by its name."""


def timer(cost: Callable[[TileShape], float], timed: list[TileShape]) -> tuple[tuning.Timer, tuning.Run]:
    """A timer that takes ``cost`` of the tile for its time, and the run that it times."""
    current: list[TileShape] = []

    def run(tile: TileShape) -> None:
        current.append(tile)

    def time_ms(call: Callable[[], object]) -> float:
        call()
        timed.append(current[-1])
        return cost(current[-1])

    return time_ms, run


def test_the_fastest_tile_is_taken_and_remembered() -> None:
    timed: list[TileShape] = []
    time_ms, run = timer(lambda tile: abs(tile.columns - 32) + tile.stages, timed)
    assert tuning.tile_for(WORK, CPU, run) == WORK.tile and not timed  # nothing is timed unless it is asked for
    with tuned(time_ms):
        best = tuning.tile_for(WORK, CPU, run)
        assert set(timed) == set(WORK.tiles()) and len(timed) == len(set(timed)) > 1
        assert (best.columns, best.stages) == (32, 3) != (WORK.tile.columns, WORK.tile.stages)
        assert tuning.tile_for(WORK, CPU, run) == best
        other = Workload.of_shapes((1, 128, 32, 32), (128, 128, 3, 3), (1, 128, 16, 16), element_bytes=2)
        count = len(timed)
        tuning.tile_for(other, CPU, run)
        assert len(timed) == 2 * count
    assert tuning.tile_for(WORK, CPU, run) == best
    with pytest.raises(ZeroDivisionError), tuned(lambda _: 1 / 0):
        tuning.tile_for(Workload.of_shapes((1, 8, 8, 8), (8, 8, 3, 3), (1, 8, 4, 4)), CPU, run)
    assert not tuning._timers


def test_tiles_that_do_not_fit_the_device_are_left_out() -> None:
    def cost(tile: TileShape) -> float:
        if tile.columns == 32:
            raise OutOfResources
        return tile.columns

    time_ms, run = timer(cost, [])
    with tuned(time_ms):
        assert tuning.tile_for(WORK, CPU, run).columns == 64

    def broken(_: TileShape) -> float:
        raise RuntimeError("an illegal memory access was encountered")

    other = Workload.of_shapes((1, 128, 32, 32), (128, 128, 3, 3), (1, 128, 16, 16), element_bytes=2)
    time_ms, run = timer(broken, [])
    with tuned(time_ms), pytest.raises(RuntimeError, match="illegal memory access"):
        tuning.tile_for(other, CPU, run)


@pytest.mark.parametrize("tf32", [False, True])
def test_what_is_launched(tf32: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that only notes its arguments."""
    notes: dict[str, object] = {}

    class Noted:
        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            def call(*arguments: object, **constants: object) -> None:
                notes.update(constants, grid=grid, sizes=arguments[9:], own=arguments[1])

            return call

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    operands = random_operands(0, 2, (12, 8), (6, 4), (16, 24, 40), (3, 3), residual=False)
    contiguous = operands._replace(own=operands.own.contiguous())
    tile = TileShape(rows=64, columns=32, depth=16, warps=8, stages=4)
    launch(operands.empty_result(), contiguous, Activation.RELU6, tile=tile, kernel=Noted())
    # 2 · 6 · 4 products in parts of 64/4, and 40 channels in parts of 32.
    assert notes["grid"] == (3 * 2,)
    assert notes["sizes"] == (2, 12, 8, 6, 4, 40 // 8, 16 // 8, 24 // 8) and notes["unit"] == 8
    assert (notes["repeat_rows"], notes["repeat_columns"]) == (2, 2)
    assert (notes["has_bias"], notes["has_residual"], notes["activation"]) == (True, False, "relu6")
    assert (notes["precision"], notes["num_warps"], notes["num_stages"]) == ("tf32" if tf32 else "ieee", 8, 4)
    assert isinstance(notes["own"], torch.Tensor)
    assert notes["own"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("source", "target"), [(8, 8), (4, 8), (8, 4), (5, 7), (7, 5), (1, 9), (56, 42), (42, 56)])
def test_maps_are_those_of_torchs_resize(source: int, target: int) -> None:
    picked = torch.arange(source)[pixel_map(source, target, CPU).long()]
    image = torch.arange(source, dtype=torch.float64).expand(1, 1, source, source)
    resized = torch.nn.functional.interpolate(image, size=(target, target), mode="nearest")
    assert picked.tolist() == resized[0, 0, 0].tolist()


@pytest.mark.parametrize("target", [1, 3, 7, 50, 99, 1000])
@pytest.mark.parametrize("ratio", [2, 4, 8, 64])
def test_neighbours_that_share_a_product_take_the_same_pixel(target: int, ratio: int) -> None:
    work = Workload.of_shapes((1, 1, ratio * target, 1), (1, 1, 1, 1), (1, 1, target, 1))
    assert work.repeat == (min(ratio, 4), 1)
    groups = pixel_map(target, ratio * target, CPU).view(-1, work.repeat[0])
    assert (groups == groups[:, :1]).all()


def test_too_many_elements_for_the_kernel(device: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    operands = random_operands(0, 1, (4, 4), (2, 2), (8, 8, 8), (1, 1))
    interactive_conv(*operands)
    assert device == ["launched"]
    monkeypatch.setattr(launch_module, "MOST_ELEMENTS", 8 * 4 * 4 - 1)
    torch.testing.assert_close(interactive_conv(*operands), expected(operands, Activation.NONE).float())
    assert device == ["launched"]
