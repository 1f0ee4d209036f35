"""Export writes files that compute what the network computes, or none."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.command import run_command_process
from helpers.networks import small
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.deploying import export as export_module
from sfic_bench.deploying.export import export
from sfic_bench.deploying.formats import FORMATS, ExportFailed, Session, write
from sfic_bench.deploying.quantise import QUANTISED, write_int8
from sfic_bench.deploying.runtimes import RUNTIMES
from sfic_bench.deploying.weight_bits import weight_bits
from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName
from sfic_bench.extras import install_command
from sfic_bench.measure.execution import Unavailable, tensors_of
from sfic_bench.measure.paths import EXECUTION_PATHS


def has_packages(format: str) -> bool:
    return all(importlib.util.find_spec(n) for n in FORMATS[format].packages)


needs_onnx = pytest.mark.skipif(not has_packages("onnx"), reason="needs the extra onnx")
needs_openvino = pytest.mark.skipif(not has_packages("openvino"), reason="needs the extra openvino")
needs = {"onnx": needs_onnx, "openvino": needs_openvino}
every_format = [pytest.param(f, marks=needs.get(f, ())) for f in FORMATS]


OF_IMAGE = 1
"""How many convolutions read the image in `small`."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", every_format)
def test_exported_files_compute_what_torch_computes(format: str, tmp_path: Path) -> None:
    model, path = small(), tmp_path / "network.xml"
    exported = export(model, path, format=format, input_size=48)
    beside = [tmp_path / "network.bin"] if format == "openvino" else []
    assert sorted(tmp_path.iterdir()) == [*beside, path] and exported.path == path
    run, x = FORMATS[format].load(path), torch.randn(5, 3, 48, 48)
    assert run.runtime.endswith(f"{torch.get_num_threads()} thread" + "s" * (torch.get_num_threads() > 1))
    with torch.no_grad():
        torch.testing.assert_close(run(x), model(x), rtol=1e-3, atol=1e-4)


@needs_onnx
def test_an_onnx_file_does_not_depend_on_the_memory_format_of_the_weights(tmp_path: Path) -> None:
    import onnx

    network, x = small(beta=0.5), torch.zeros(2, 3, 48, 48)
    operations = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        network.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch has no type for it
        write(network, x.contiguous(memory_format=memory_format), tmp_path / "net.onnx", "onnx")
        operations.append([node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node])
        lie_last = any(not weight.is_contiguous() for weight in network.parameters())
        assert lie_last == (memory_format is torch.channels_last)  # the network itself stays as it is
    assert operations[0] == operations[1] and "Gather" not in operations[0]


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.pt"
    path.write_text("what was there before")

    def load(written: Path, *_: object) -> Session:
        run = FORMATS["torchscript"].load(written)
        return Session(run=lambda x: run(x) * 1.01, runtime="")

    monkeypatch.setattr(export_module, "format_named", lambda name: replace(FORMATS[name], load=load))
    with pytest.raises(ExportFailed, match="not kept"):
        export(small(), path, format="torchscript", input_size=48)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "what was there before"


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown format 'tflite'"):
        export(small(), tmp_path / "x", format="tflite")
    with pytest.raises(InvalidValue, match="training mode"):
        export(nn.Conv2d(3, 2, 1), tmp_path / "x", format="torchscript")
    with pytest.raises(InvalidValue, match=r"a file of OpenVINO is called NAME\.xml, not x\.onnx"):
        export(small(), tmp_path / "x.onnx", format="openvino")
    with pytest.raises(InvalidValue, match="TorchScript has no int8 here"):
        export(small(), tmp_path / "x", format="torchscript", input_size=48, calibration=[torch.zeros(1, 3, 48, 48)])
    with pytest.raises(InvalidValue, match="there is no folder"):
        export(small(), tmp_path / "none" / "x", format="torchscript")


def test_a_network_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportFailed, match="torch cannot write this network as torch-export"):
        export(Dynamic().eval(), tmp_path / "x", format="torch-export", input_size=8)
    assert not list(tmp_path.iterdir())


def test_onnx_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=re.escape(install_command("onnx"))):
        export(small(), tmp_path / "x.onnx", format="onnx", input_size=48)
    with pytest.raises(Unavailable, match="ONNX needs"):
        EXECUTION_PATHS["onnxruntime"].make(small(), (torch.randn(1, 3, 48, 48),), False)


RUNTIME_PATHS = [
    pytest.param(name, marks=needs[runtime.format]) for name, runtime in RUNTIMES.items() if runtime.format is not None
]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino-int8"])
def test_runtimes_infer_float32_alone(name: str) -> None:
    with pytest.raises(Unavailable, match="inference alone"):
        EXECUTION_PATHS[name].make(small(), (torch.randn(1, 3, 48, 48),), True)
    with pytest.raises(Unavailable, match="one float32 input on the CPU"):
        EXECUTION_PATHS[name].make(small(), (torch.randn(1, 3, 48, 48).double(),), False)


def test_tensorrt_needs_a_cuda_device() -> None:
    for training, reason in ((True, "inference alone"), (False, "needs a CUDA device")):
        with pytest.raises(Unavailable, match=reason):
            EXECUTION_PATHS["tensorrt"].make(small(), (torch.randn(1, 3, 48, 48),), training)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RUNTIME_PATHS)
def test_runtimes_are_paths(name: str) -> None:
    model, x = small(), torch.randn(2, 3, 48, 48).to(memory_format=torch.channels_last)
    ready = EXECUTION_PATHS[name].make(model, (x,), False)
    with torch.no_grad():
        expected = model(x)
    error = float((tensors_of(ready.run())[0] - expected).abs().max() / expected.abs().max())
    assert error < (0.1 if RUNTIMES[name].int8 else 1e-4)
    assert (error > 1e-5) == RUNTIMES[name].int8 == (ready.rounded is not None)  # eight bits are never that exact
    assert ready.setup_s > 0 and ready.peak_bytes == {}  # torch cannot see its memory
    assert "thread" in ready.runtime


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_takes_largest_values_of_the_first_convolution_in_float32(tmp_path: Path) -> None:
    """In int8 that pool takes 20 times as long as in float32; the second pool lies between convolutions in int8."""
    onnx, onnxruntime = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    convolutions = [nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 4, 1)]
    first, *rest = convolutions
    model = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(3, 2, 1), rest[0], nn.MaxPool2d(2), *rest[1:]).eval()
    path, optimised, x = tmp_path / "network.onnx", tmp_path / "optimised.onnx", torch.randn(2, 3, 40, 40)
    write_int8(model, x, path, "onnx", [x])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(optimised), 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(optimised).graph.node
    by_output = {name: node.op_type for node in nodes for name in node.output}
    pools = [by_output[node.input[0]] for node in nodes if node.op_type in ("MaxPool", "NhwcMaxPool")]
    assert pools == ["Conv", "QLinearConv"]


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_int8_has_means_of_whole_windows_as_convolutions(tmp_path: Path) -> None:
    pools = [nn.AvgPool2d(2), nn.AvgPool2d(3, 2), nn.AvgPool2d((2, 1), ceil_mode=True)]
    parts = [part for pool in pools for part in (nn.Conv2d(8, 8, 3, padding=1), pool)]
    model, path = (
        nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 8, 1), *parts, nn.Conv2d(8, 4, 1)).eval(),
        tmp_path / "network.onnx",
    )
    x = torch.randn(2, 3, 80, 80)
    write_int8(model, x, path, "onnx", [x])
    nodes = importlib.import_module("onnx").load(path).graph.node
    assert [node.op_type for node in nodes].count("AveragePool") == 2
    with torch.no_grad():
        output, expected = FORMATS["onnx"].load(path)(x), model(x)
    assert float((output - expected).abs().max() / expected.abs().max()) < 0.05


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", [pytest.param(f, marks=needs[f]) for f in QUANTISED])
def test_a_file_made_ready_for_one_batch_size_takes_no_other(format: str, tmp_path: Path) -> None:
    model, path = small(), tmp_path / "network.xml"
    write(model, torch.zeros(2, 3, 48, 48), path, format)
    session = FORMATS[format].load(path, 3)
    x = torch.randn(3, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(session(x), model(x), rtol=1e-3, atol=1e-4)
    with pytest.raises(Exception, match=r"(?i)shape|dimension"):  # each runtime has errors of its own
        session(x[:2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in RUNTIME_PATHS if "int8" in str(name.values[0])])
@pytest.mark.parametrize("window", [2, 3])
def test_int8_divides_a_window_that_lies_partly_outside_by_what_lies_inside(name: str, window: int) -> None:
    """ONNX Runtime's own average pool in int8 divides by the whole window."""
    pool = nn.AvgPool2d(window, ceil_mode=True)
    layers = [nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 1), pool, nn.Conv2d(16, 16, 1), nn.Flatten(), nn.LazyLinear(9)]
    model, x = nn.Sequential(*layers).eval(), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        expected = model(x)
    ready = EXECUTION_PATHS[name].make(model, (x,), False)
    assert ready.rounded is not None
    for output in (tensors_of(ready.run())[0], ready.rounded):
        assert float((output - expected).abs().max() / expected.abs().max()) < 0.05


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_weights_have_as_many_bits_as_the_cpu_multiplies_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(2, 3, 16, 16)
    model, largest = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 8, 1), nn.Conv2d(8, 2, 1)).eval(), {}
    for bits in (7, 8):
        monkeypatch.setattr("sfic_bench.deploying.quantise.weight_bits", lambda bits=bits: bits)
        write_int8(model, x, tmp_path / f"{bits}.onnx", "onnx", [x])
        onnx = importlib.import_module("onnx")
        weights = map(onnx.numpy_helper.to_array, onnx.load(tmp_path / f"{bits}.onnx").graph.initializer)
        largest[bits] = max(int(abs(w.astype(int)).max()) for w in weights if w.dtype == "int8" and w.ndim > 1)
    assert largest == {7: 64, 8: 127}
    if weight_bits() == 7:
        return
    with torch.no_grad():
        session, expected = FORMATS["onnx"].load(tmp_path / "8.onnx"), model(x)
    assert float((session(x) - expected).abs().max() / expected.abs().max()) < 0.05


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", [pytest.param(f, marks=needs[f]) for f in QUANTISED])
def test_convolutions_of_an_int8_file_have_weights_of_eight_bits(format: str, tmp_path: Path) -> None:
    model, path = small(), tmp_path / "network.xml"
    images = [torch.randn(4, 3, 48, 48) for _ in range(2)]
    exported = export(model, path, format=format, input_size=48, calibration=images)
    assert exported.batches == (4,) and len(list(tmp_path.iterdir())) == (2 if format == "openvino" else 1)
    # The means of both branches in front of a strided convolution become convolutions, too.
    convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules()) + 2
    if format == "onnx":
        graph = importlib.import_module("onnx").load(path).graph
        made_by = {name: node.op_type for node in graph.node for name in node.output}
        sources = [[made_by.get(name) for name in n.input[:2]] for n in graph.node if n.op_type == "Conv"]
        assert len(sources) == convolutions
        assert sources.count(["DequantizeLinear", "DequantizeLinear"]) == convolutions - OF_IMAGE
    else:
        text = path.read_text()
        assert text.count('Convolution" version=') == convolutions
        assert text.count('element_type="i8"') == 2 * (convolutions - OF_IMAGE)  # a weight and a zero point each
    assert FORMATS[format].load(path)(torch.randn(5, 3, 48, 48)).shape == (5, 2)


def test_from_the_command_line_with_weights(tmp_path: Path) -> None:
    """Vanilla weights carry over into the blocks; an SFIC state dict is taken as it is."""
    torch.manual_seed(0)
    vanilla = api.build("mobilenet")
    sfic = api.to_sfic(vanilla, alpha=0.5, beta=1.0)
    for model, name in ((vanilla, "vanilla.pth"), (sfic, "sfic.pth")):
        torch.save(model.state_dict(), tmp_path / name)
    x = torch.randn(2, 3, 48, 48)
    request = ("--backbone", "mobilenet", "--alpha", "0.5", "--to", "torchscript", "--input-size", "48")
    path = tmp_path / "network.pt"
    result = run_command_process("export", *request, "--weights", str(tmp_path / "sfic.pth"), "--output", str(path))
    assert result.returncode == 0 and f"wrote {path}" in result.stderr
    with torch.no_grad():
        torch.testing.assert_close(FORMATS["torchscript"].load(path)(x), sfic.eval()(x), rtol=1e-3, atol=1e-4)
    carried = api.build("mobilenet", alpha=0.5, weights=tmp_path / "vanilla.pth")
    first, second = (m.get_parameter("features.5.3.ss.weight") for m in (carried, sfic))
    assert torch.equal(first, second)
    refused = run_command_process(
        "export", *request, "--classes", "3", "--weights", str(tmp_path / "vanilla.pth"), "--output", str(path)
    )
    assert refused.returncode == 2 and "has in other shapes classifier.weight" in refused.stderr


@pytest.mark.parametrize("format", [pytest.param("onnx", marks=needs_onnx), "torchscript"])
def test_only_the_result_is_printed(format: str, tmp_path: Path) -> None:
    path = tmp_path / "network.xml"
    request = ("--backbone", "mobilenet", "--alpha", "0.5", "--beta", "0.5", "--input-size", "48")
    result = run_command_process("export", *request, "--to", format, "--output", str(path))
    assert result.returncode == 0 and result.stdout == ""
    assert result.stderr.startswith(f"wrote {path}: batches of 1 and 3") and result.stderr.count("\n") == 1


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    result = run_command_process("export", "--beta", "0.5", "--output", str(tmp_path / "x"))
    assert result.returncode == 2 and "--beta needs --alpha" in result.stderr
    result = run_command_process("export", "--on-unsupported", "maybe", "--output", str(tmp_path / "x"))
    assert result.returncode == 2 and "'maybe' is not one of 'error', 'join', 'keep'" in result.stderr
