"""The runtimes that take a trained network: torch itself, ONNX Runtime and OpenVINO, in float32 and in int8."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from sfic_bench.deploying.formats import FORMATS, Session, by_torch, onnx_to_openvino
from sfic_bench.deploying.quantise import OnnxFiles
from sfic_bench.deploying.weight_bits import weight_bits
from sfic_bench.errors import UnknownName


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """One way to deploy a network.

    Attributes:
        name: the execution path's name, or ``"torch"``.
        format: the file format that it reads; ``None`` for torch, which needs no file.
        int8: whether the network is quantised.
    """

    name: str
    format: str | None = None
    int8: bool = False

    @property
    def reads_channels_last(self) -> bool:
        """Whether it reads images that lie in memory pixel by pixel without a copy."""
        return self.format is None or FORMATS[self.format].reads_channels_last

    def session(self, files: OnnxFiles, batch: int | None = None, channels_last: bool = False) -> tuple[Session, int]:
        """The network of ``files`` made ready, and the bytes of what this runtime reads.

        With ``batch`` it takes batches of that many images alone, for which a runtime can plan: ONNX Runtime and
        OpenVINO run SFIC networks 4 to 10% faster then, since these have many small layers, and vanilla ones as before.
        ``channels_last`` is as for `Loader`.

        Raises:
            MissingDependency: if a package that the runtime needs is not installed.
            ExportFailed: if the network cannot be written or quantised.
        """
        if self.format is None:
            model = files.model
            return by_torch(torch.inference_mode()(model)), sum(t.nbytes for t in model.state_dict().values())
        chosen = FORMATS[self.format]
        chosen.check_installed()
        path = files.int8 if self.int8 else files.float32
        if self.format == "openvino":
            onnx, path = path, path.with_suffix(chosen.suffix)
            onnx_to_openvino(onnx, path)
        sizes = [path.with_suffix(ending).stat().st_size for ending in {path.suffix, chosen.beside} - {""}]
        session = chosen.load(path, batch, channels_last)
        if self.int8:
            session = replace(session, runtime=f"{session.runtime}, weights of {weight_bits()} bits")
        return session, sum(sizes)


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(name="torch"),
        Runtime(name="onnxruntime", format="onnx"),
        Runtime(name="onnxruntime-int8", format="onnx", int8=True),
        Runtime(name="openvino", format="openvino"),
        Runtime(name="openvino-int8", format="openvino", int8=True),
    )
}
"""All runtimes by name; the first is what the others are compared with."""

TORCH = "torch"


def runtimes_named(names: Iterable[str]) -> list[Runtime]:
    """The runtimes called ``names``, torch first, which all are compared with.

    Raises:
        UnknownName: for a name that is none of a runtime.
    """
    for name in (names := list(names)):
        if name not in RUNTIMES:
            raise UnknownName("runtime", name, RUNTIMES)
    return [RUNTIMES[name] for name in dict.fromkeys((TORCH, *names))]
