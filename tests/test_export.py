"""Export writes files that compute what the network computes, or none."""

import importlib.util
from pathlib import Path

import pytest
import torch
from helpers.command import run_command_process
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.deploy import export as export_module
from sfic_bench.deploy.export import FORMATS, ExportFailed, export
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.measure.execution import Unavailable, tensors_of
from sfic_bench.measure.paths import EXECUTION_PATHS

has_onnx = all(importlib.util.find_spec(n) for n in ("onnx", "onnxruntime", "onnxscript"))
needs_onnx = pytest.mark.skipif(not has_onnx, reason="needs the extra onnx")
every_format = [pytest.param(f, marks=needs_onnx if f == "onnx" else ()) for f in FORMATS]


def small() -> nn.Module:
    torch.manual_seed(0)
    return api.fuse(api.build("mobilenet", alpha=0.5, beta=0.3).eval())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", every_format)
def test_exported_files_compute_what_torch_computes(format: str, tmp_path: Path) -> None:
    model, path = small(), tmp_path / "network.file"
    exported = export(model, path, format=format, input_size=48)
    assert list(tmp_path.iterdir()) == [path] and exported.path == path
    run, x = FORMATS[format][1](path), torch.randn(5, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(run(x), model(x), rtol=1e-3, atol=1e-4)


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.pt"
    path.write_text("what was there before")

    def load(written: Path) -> object:
        run = FORMATS["torchscript"][1](written)
        return lambda x: run(x) * 1.01

    monkeypatch.setattr(export_module, "FORMATS", {"torchscript": (FORMATS["torchscript"][0], load)})
    with pytest.raises(ExportFailed, match="not kept"):
        export(small(), path, format="torchscript", input_size=48)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "what was there before"


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="unknown format 'tflite'"):
        export(small(), tmp_path / "x", format="tflite")
    with pytest.raises(InvalidValue, match="training mode"):
        export(nn.Conv2d(3, 2, 1), tmp_path / "x", format="torchscript")
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
    with pytest.raises(MissingDependency, match=r"pip install 'sfic-bench\[onnx\]'"):
        export(small(), tmp_path / "x.onnx", format="onnx", input_size=48)
    with pytest.raises(Unavailable, match="ONNX needs"):
        EXECUTION_PATHS["onnxruntime"].make(small(), (torch.randn(1, 3, 48, 48),), False)


def test_onnx_runtime_infers_float32_alone() -> None:
    with pytest.raises(Unavailable, match="inference alone"):
        EXECUTION_PATHS["onnxruntime"].make(small(), (torch.randn(1, 3, 48, 48),), True)
    with pytest.raises(Unavailable, match="float32 on the CPU"):
        EXECUTION_PATHS["onnxruntime"].make(small(), (torch.randn(1, 3, 48, 48).double(),), False)


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_is_a_path() -> None:
    model, x = small(), torch.randn(2, 3, 48, 48).to(memory_format=torch.channels_last)
    ready = EXECUTION_PATHS["onnxruntime"].make(model, (x,), False)
    with torch.no_grad():
        torch.testing.assert_close(tensors_of(ready.run())[0], model(x), rtol=1e-3, atol=1e-4)
    assert ready.setup_s > 0 and ready.peak_bytes == {}  # torch cannot see its memory


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
        torch.testing.assert_close(FORMATS["torchscript"][1](path)(x), sfic.eval()(x), rtol=1e-3, atol=1e-4)
    carried = api.build("mobilenet", alpha=0.5, weights=tmp_path / "vanilla.pth")
    first, second = (m.get_parameter("features.5.3.ss.weight") for m in (carried, sfic))
    assert torch.equal(first, second)
    refused = run_command_process(
        "export", *request, "--classes", "3", "--weights", str(tmp_path / "vanilla.pth"), "--output", str(path)
    )
    assert refused.returncode == 2 and "has in other shapes classifier.weight" in refused.stderr


@pytest.mark.parametrize("format", every_format)
def test_only_the_result_is_printed(format: str, tmp_path: Path) -> None:
    path = tmp_path / "network.file"
    request = ("--backbone", "mobilenet", "--alpha", "0.5", "--beta", "0.5", "--input-size", "48")
    result = run_command_process("export", *request, "--to", format, "--output", str(path))
    assert result.returncode == 0 and result.stdout == ""
    assert result.stderr.startswith(f"wrote {path}: batches of 1 and 3") and result.stderr.count("\n") == 1


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    result = run_command_process("export", "--beta", "0.5", "--output", str(tmp_path / "x"))
    assert result.returncode == 2 and "--beta needs --alpha" in result.stderr
    result = run_command_process("export", "--on-unsupported", "maybe", "--output", str(tmp_path / "x"))
    assert result.returncode == 2 and "'maybe' is not one of 'error', 'join', 'keep'" in result.stderr
