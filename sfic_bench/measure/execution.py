"""Ways to run a network, each made ready once and then called many times.

A way that this machine lacks raises `Unavailable` with the reason; it is never replaced by another.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sfic_bench.errors import MissingDependency
from sfic_bench.measure.failures import explained, out_of_memory
from sfic_bench.measure.memory import peak_of


class Unavailable(Exception):
    """This way of running does not exist here; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A network made ready for one input.

    Attributes:
        run: one inference, or one training step; returns the network's result.
        setup_s: what compiling or capturing took.
        peak_bytes: what only set-up can tell, see `sfic_bench.measure.memory.DEFINITIONS`.
    """

    run: Callable[[], Any]
    setup_s: float = 0.0
    peak_bytes: Mapping[str, int] | None = None


Maker = Callable[[nn.Module, tuple[Tensor, ...], bool], Ready]
"""Takes a network, its inputs, and whether to train."""


def tensors_of(result: Any) -> tuple[Tensor, ...]:
    """A network's result as tensors: itself, or what it holds; those without elements are left out."""
    return tuple(t for t in ((result,) if isinstance(result, Tensor) else result) if t.numel())


def _step(
    model: nn.Module, forward: Callable[..., Any], inputs: tuple[Tensor, ...], training: bool
) -> Callable[[], Any]:
    """One inference without autograd, or a forward and a backward pass with fresh gradients.

    Gradients are of all parameters, and of the inputs that require one; the loss is the mean
    square of the result.
    """
    leaves = [*model.parameters(), *(x for x in inputs if x.requires_grad)]

    def infer() -> Any:
        with torch.no_grad():
            return forward(*inputs)

    def train() -> Any:
        for leaf in leaves:
            leaf.grad = None
        result = forward(*inputs)
        tensors = tensors_of(result)
        # Of all elements together: S and F apart weigh as much as in the one tensor that joins them.
        elements = sum(t.numel() for t in tensors)
        loss = torch.stack([t.float().square().sum() for t in tensors]).sum() / elements
        loss.backward()  # type: ignore[no-untyped-call]
        return tuple(t.detach() for t in tensors)

    return train if training else infer


def eager(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """Operation by operation."""
    return Ready(run=_step(model, model, inputs, training))


RECOMPILES = 4096
"""How many versions of one ``forward`` the compiler may make in one process.

All layers of a grid share the ``forward`` of their class, and torch's own limit is 8; what came after it
would run eager without a word.
"""


def compiled(mode: str = "default", *, freezing: bool = False) -> Maker:
    """`torch.compile` in ``mode``, as one graph for one size; compile time is set-up.

    With ``freezing``, inductor takes the weights for constants: it lays them out as each operation wants
    them and computes once what depends on them alone.

    Whatever would make the result something else than asked for is a failure: a break of the graph, a size
    that becomes dynamic, and, on a CUDA device, a mode with CUDA graphs that inductor decides to run without.
    """

    def make(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        device = inputs[0].device
        if mode == "reduce-overhead" and device.type != "cuda":
            raise Unavailable("reduce-overhead captures CUDA graphs, and this is no CUDA device")
        if freezing and training:
            raise Unavailable("freezing makes constants of the weights, so it runs inference alone")
        chosen = torch._inductor.list_mode_options(mode)  # takes a second to import
        if freezing:  # said here too: code that was compiled with the same options would be taken again
            chosen["freezing"] = True
        captures = device.type == "cuda" and bool(chosen.get("triton.cudagraphs"))
        if captures:  # inductor would only log that it goes without
            chosen["triton.cudagraph_or_error"] = True
        whole = torch.compile(model, fullgraph=True, dynamic=False, options=chosen)
        run = _step(model, whole, inputs, training)
        if captures:
            run = _marking_steps(run)
        start = time.perf_counter()
        limits = {"recompile_limit": RECOMPILES, "accumulated_recompile_limit": RECOMPILES}
        try:
            # As an option alone freezing does nothing: dynamo, which traces first, looks at inductor's settings.
            with torch._dynamo.config.patch(limits), torch._inductor.config.patch(freezing=freezing):
                for _ in range(3):  # graphs are captured in the second call, not in the first
                    run()
        except Exception as error:
            if out_of_memory(error):
                raise
            # Whatever the compiler's stages raise, the network itself has run before: the path is
            # what failed.
            raise Unavailable(f"torch.compile failed: {explained(error)}") from error
        # Graphs of torch's own share one pool, so what one of them adds depends on those before it.
        return Ready(run=run, setup_s=time.perf_counter() - start, peak_bytes={} if captures else None)

    return make


def forget_compiled() -> None:
    """Give up everything that `torch.compile` has made in this process, with the memory that it holds."""
    torch.compiler.reset()


def _marking_steps(run: Callable[[], Any]) -> Callable[[], Any]:
    """Tell torch's own graphs that the last result is done with, so that they may write over it."""

    def marked() -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return run()

    return marked


def cuda_graph(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """One capture into a CUDA graph with static buffers, then replay."""
    device = inputs[0].device
    if device.type != "cuda":
        raise Unavailable("CUDA graphs need a CUDA device")
    start = time.perf_counter()
    step = _step(model, model, inputs, training)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # lazy initialisation must not be captured
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    result: Any = None

    def capture() -> None:
        nonlocal result
        with torch.cuda.graph(graph):
            result = step()

    # cuBLAS keeps one workspace a stream and all captures use one stream: the first graph would hold it for
    # all others. Forgotten before and after, each graph has its own.
    torch._C._cuda_clearCublasWorkspaces()
    before = _reserved(device)
    peaks = peak_of(capture, device)
    torch._C._cuda_clearCublasWorkspaces()
    peaks["graph_pool"] = _reserved(device) - before

    def replay() -> Any:
        graph.replay()
        return result

    return Ready(run=replay, setup_s=time.perf_counter() - start, peak_bytes=peaks)


def onnx_runtime(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """ONNX Runtime on the CPU, on the network as ONNX."""
    if training:
        raise Unavailable("ONNX Runtime runs inference alone")
    x = inputs[0]
    if x.device.type != "cpu" or x.dtype != torch.float32 or len(inputs) != 1:
        raise Unavailable("this path runs float32 on the CPU, and networks with one input")
    from sfic_bench.export import ExportFailed, onnx_run  # not needed by any other path

    start = time.perf_counter()
    try:
        run = onnx_run(model, x)
    except (MissingDependency, ExportFailed) as reason:
        raise Unavailable(str(reason)) from None
    fixed = x.contiguous()
    # Its memory is its own: torch's allocator knows nothing of it.
    return Ready(run=lambda: run(fixed), setup_s=time.perf_counter() - start, peak_bytes={})


def _reserved(device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


MAKERS: Mapping[str, Maker] = {
    "eager": eager,
    "compiled": compiled(),
    "compiled-freezing": compiled(freezing=True),
    "compiled-reduce-overhead": compiled("reduce-overhead"),
    "compiled-max-autotune": compiled("max-autotune"),
    "cuda-graph": cuda_graph,
    "onnxruntime": onnx_runtime,
}
"""By name; `torch.compile`'s modes by theirs."""
