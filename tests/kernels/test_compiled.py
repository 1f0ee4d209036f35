"""The Triton kernel compiled for an H100 (sm_90a) on any machine: registers, spills, instructions, shared memory."""

import re
import subprocess
from dataclasses import dataclass
from math import prod
from pathlib import Path

import pytest

from sfic_bench.kernels import Activation, TileShape, Workload
from sfic_bench.kernels.workload import SHARED_BYTES

triton = pytest.importorskip("triton", reason="needs triton: nox -s kernels")
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sfic_bench.kernels.source import interactive_conv_kernel

POINTERS = {"result", "own", "own_weight", "other", "other_weight", "bias", "residual"}
FORMATS = {2: "bf16", 4: "fp32"}


@dataclass(frozen=True)
class Binary:
    """What ptxas says of a kernel, and what its PTX has."""

    registers: int
    spilled_bytes: int
    matrix_instructions: int
    shared_bytes: int
    writes: set[str]
    """The instructions that write the result."""


def compiled(
    work: Workload, tile: TileShape, folder: Path, activation: Activation = Activation.RELU, *, is_full: bool = True
) -> Binary:
    """The kernel with bias and residual, or without both, as Triton compiles it when it is called."""
    sizes = {
        "images": work.images, "height": work.size[0], "width": work.size[1], "other_height": work.other_size[0],
        "other_width": work.other_size[1], "output_units": work.outputs // work.unit,
        "own_units": work.own_channels // work.unit, "other_units": work.other_channels // work.unit,
    }  # fmt: skip
    constants: dict[str, object] = {
        "kernel_height": work.kernel[0], "kernel_width": work.kernel[1], "repeat_rows": work.repeat[0],
        "repeat_columns": work.repeat[1], "has_bias": is_full, "has_residual": is_full, "activation": str(activation),
        "precision": "ieee", "unit": work.unit, "rows": tile.rows, "columns": tile.columns, "depth": tile.depth,
    }  # fmt: skip
    constants |= {name: 1 for name, size in sizes.items() if size == 1}  # Triton makes a constant of each 1
    constants |= {} if is_full else {"bias": None, "residual": None}
    names = interactive_conv_kernel.arg_names
    element = FORMATS[work.element_bytes]
    types = {n: f"*{element}" if n in POINTERS else "*i32" if n.startswith("to_") else "i32" for n in names}
    aligned = [
        i for i, n in enumerate(names) if n not in constants and (n in POINTERS or (n in sizes and sizes[n] % 16 == 0))
    ]
    source = ASTSource(
        interactive_conv_kernel,
        types | dict.fromkeys(constants, "constexpr"),
        {(names.index(n),): value for n, value in constants.items()},
        {(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    ptx = folder / "kernel.ptx"
    ptx.write_text(binary.asm["ptx"])
    ptxas = triton.knobs.nvidia.ptxas.path
    command = [ptxas, "-v", "--gpu-name=sm_90a", ptx, "-o", folder / "kernel.cubin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    (registers,) = re.findall(r"Used (\d+) registers", said)
    spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", said)
    instructions = binary.asm["ptx"].count("wgmma.mma_async") + binary.asm["ptx"].count("mma.sync")
    writes = set(re.findall(r"st\.global\.\S+", binary.asm["ptx"]))
    return Binary(int(registers), sum(map(int, spilled)), instructions, binary.metadata.shared, writes)


def workload(work: tuple[int, int, int], **changes: object) -> Workload:
    """A call of a ResNet's third layer with ``work`` channels: own, other and outputs."""
    own, other, outputs = work
    sizes: dict[str, object] = {"images": 64, "size": (32, 32), "other_size": (16, 16), "kernel": (3, 3)}
    return Workload(own_channels=own, other_channels=other, outputs=outputs, **{**sizes, "element_bytes": 2, **changes})  # type: ignore[arg-type]


DEFAULTS = [
    workload((32, 32, 32)),  # a few channels
    workload((128, 128, 128)),  # F enlarged 2 times
    workload((128, 128, 512), kernel=(1, 1)),
    workload((128, 128, 128), other_size=(8, 8)),  # 4 times
    workload((128, 128, 128), size=(16, 16), other_size=(32, 32)),  # every second pixel of S
    workload((128, 128, 512), size=(16, 16), other_size=(32, 32), kernel=(1, 1)),
    workload((128, 128, 128), other_size=(24, 24)),  # β = .75
    workload((24, 40, 72)),  # multiples of 8, not of 16
    workload((128, 128, 128), element_bytes=4),
]


@pytest.mark.parametrize("work", DEFAULTS, ids=str)
def test_default_tiles_keep_everything_in_registers(work: Workload, tmp_path: Path) -> None:
    tile = work.tile
    binary = compiled(work, tile, tmp_path)
    assert binary.spilled_bytes == 0
    # An H100 has 65,536 registers a multiprocessor, and a thread at most 255.
    assert binary.registers <= 255 and binary.registers * tile.warps * 32 <= 65_536
    assert binary.shared_bytes <= SHARED_BYTES
    assert (binary.matrix_instructions > 0) == (work.element_bytes == 2)  # IEEE float32 has none
    assert binary.writes == {"st.global.v4.b32"}  # 16 bytes at once


def test_too_large_a_tile_spills(tmp_path: Path) -> None:
    """The check itself, with a tile that is refused: 128 accumulators for each thread."""
    tile = TileShape(rows=128, columns=128, depth=64, warps=4, stages=3)
    assert tile not in list(workload((128, 128, 128)).tiles())
    assert compiled(workload((128, 128, 128)), tile, tmp_path).spilled_bytes > 0


@pytest.mark.parametrize(
    "work",
    [
        workload((1, 1, 1), images=1, size=(1, 1), other_size=(1, 1), kernel=(1, 1)),
        workload((0, 17, 9), size=(13, 17), other_size=(5, 6), kernel=(5, 3)),
    ],
    ids=str,
)
def test_unusual_sizes_without_bias_and_residual(work: Workload, tmp_path: Path) -> None:
    binary = compiled(work, work.tile, tmp_path, Activation.NONE, is_full=False)
    assert binary.spilled_bytes == 0 and binary.matrix_instructions > 0


@pytest.mark.thorough
@pytest.mark.parametrize("work", DEFAULTS[:-1], ids=str)
def test_no_tile_that_is_tried_spills(work: Workload, tmp_path: Path) -> None:
    for tile in work.tiles():
        binary = compiled(work, tile, tmp_path)
        assert binary.spilled_bytes == 0, tile
        assert binary.shared_bytes <= SHARED_BYTES, tile


@pytest.mark.parametrize("activation", [Activation.RELU6, Activation.SILU])
def test_other_activations_than_relu(activation: Activation, tmp_path: Path) -> None:
    work = workload((64, 64, 64))
    assert compiled(work, work.tile, tmp_path, activation).spilled_bytes == 0


def test_the_default_is_a_tile_that_is_tried() -> None:
    for work in DEFAULTS:
        tiles = list(work.tiles())
        assert work.tile in tiles and len(tiles) <= 18
        assert all(tile.rows % prod(work.repeat) == 0 for tile in tiles)
