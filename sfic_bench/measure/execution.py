"""The functions behind the execution paths. Each makes a network ready once, to be called many times.

A path that cannot run on this machine raises `Unavailable` with the reason and is never replaced by another.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.kernels import KernelStage2, lack, tuned
from sfic_bench.measure.failures import explained, out_of_memory
from sfic_bench.measure.memory import peak_of
from sfic_bench.measure.paths import Maker
from sfic_bench.measure.training_step import BACKWARD, FORWARD, Output, TrainingStep, tensors_of
from sfic_bench.nn.fused import ReducedStage2

__all__ = ["Output", "Ready", "Unavailable", "eager", "tensors_of"]

T = TypeVar("T")


class Unavailable(Exception):
    """An execution path cannot run on this machine or in this mode; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A network made ready for one input.

    Attributes:
        run: does one inference or one training step, and returns the network's result.
        setup_s: seconds that compiling or capturing took.
        peak_bytes: memory that set-up has measured, under `sfic_bench.measure.memory.DEFINITIONS`, and empty if it
            cannot be known; ``None`` if it is to be measured during a call.
        runtime: name and version of what runs the network if that is not torch, its device and number of threads.
        rounded: what the network computes with its weights and activations rounded as this path rounds them, if they
            have fewer bits than the measurement's number format; ``None`` for any other path.
        parts: what ``run`` does in a training step, part by part, by name; empty if it can only be called whole.
    """

    run: Callable[[], Output]
    setup_s: float = 0.0
    peak_bytes: Mapping[str, int] | None = None
    runtime: str = ""
    rounded: Tensor | None = None
    parts: Mapping[str, Callable[[], object]] = field(default_factory=dict)


def _step(
    model: nn.Module, forward: Callable[..., Output], inputs: tuple[Tensor, ...], training: bool
) -> Callable[[], Output]:
    """A function that does one inference without autograd, or a `TrainingStep`.

    Parameters and inputs that require a gradient get one.
    """
    if training:
        return TrainingStep(forward, inputs, (*model.parameters(), *(x for x in inputs if x.requires_grad)))

    def infer() -> Output:
        with torch.no_grad():
            return forward(*inputs)

    return infer


def _parts(step: Callable[[], Output]) -> dict[str, Callable[[], object]]:
    """The parts of what `_step` has made; none of an inference."""
    return {FORWARD: step.forward, BACKWARD: step.backward} if isinstance(step, TrainingStep) else {}


def eager(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """Run the network operation by operation."""
    step = _step(model, model, inputs, training)
    return Ready(run=step, parts=_parts(step))


RECOMPILES = 4096
"""How many versions of one ``forward`` the compiler may make in one process.

All layers of a grid share the ``forward`` of their class. Beyond torch's own limit of 8 they would run eagerly without
an error.
"""


def _compiled_in(mode: str = "default", *, freezing: bool = False) -> Maker:
    """A maker for `torch.compile` in ``mode``, as one graph for one size; compile time is set-up.

    With ``freezing``, inductor treats the weights as constants: it lays them out in each operation's favourite order
    and computes once what depends on them alone.

    The path is unavailable if the compiled network would not be what the path's name says: if the graph breaks, if a
    size becomes dynamic, or if inductor would not use the CUDA graphs of its mode on a CUDA device.
    """

    def make(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        device = inputs[0].device
        if mode == "reduce-overhead" and device.type != "cuda":
            raise Unavailable("reduce-overhead captures CUDA graphs, which need a CUDA device")
        if freezing and training:
            raise Unavailable("freezing makes constants of the weights, so it runs inference alone")
        options = torch._inductor.list_mode_options(mode)  # takes a second to import
        if freezing:  # an option too, since code that was compiled with equal options would be used again
            options["freezing"] = True
        captures = device.type == "cuda" and bool(options.get("triton.cudagraphs"))
        if captures:  # otherwise inductor would only log that it uses no graphs
            options["triton.cudagraph_or_error"] = True
        compiled_model = torch.compile(model, fullgraph=True, dynamic=False, options=options)
        step = _step(model, compiled_model, inputs, training)

        def marked(call: Callable[[], T]) -> Callable[[], T]:
            """``call``, which tells torch's own graphs first that their last result may be overwritten."""

            def marked_call() -> T:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                return call()

            return marked_call

        run, parts = (marked(step) if captures else step), _parts(step)
        if captures and parts:
            parts[FORWARD] = marked(parts[FORWARD])
        start = time.perf_counter()
        limits = {"recompile_limit": RECOMPILES, "accumulated_recompile_limit": RECOMPILES}
        try:
            # The option alone would have no effect: dynamo, which traces first, reads inductor's settings.
            with torch._dynamo.config.patch(limits), torch._inductor.config.patch(freezing=freezing):
                for _ in range(3):  # graphs are captured in the second call, not in the first
                    run()
        except Exception as error:
            if out_of_memory(error):
                raise
            # The network itself has run before, so that any error of the compiler is the path's failure.
            raise Unavailable(f"torch.compile failed: {explained(error)}") from error
        # torch's own graphs share one pool, so that the memory of each depends on the graphs before it.
        setup_s = time.perf_counter() - start
        return Ready(run=run, setup_s=setup_s, peak_bytes={} if captures else None, parts=parts)

    return make


compiled = _compiled_in()
compiled_freezing = _compiled_in(freezing=True)
compiled_reduce_overhead = _compiled_in("reduce-overhead")
compiled_max_autotune = _compiled_in("max-autotune")


def cuda_graph(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """Capture one step into a CUDA graph with static buffers, which each call replays."""
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
    results: list[Output] = []

    def capture() -> None:
        with torch.cuda.graph(graph):
            results.append(step())

    # cuBLAS keeps one workspace for each stream, and all captures use one stream, so that the first graph would hold
    # the workspace of all others. Clearing it before and after gives each graph its own.
    torch._C._cuda_clearCublasWorkspaces()
    before = _reserved(device)
    peaks = peak_of(capture, device)
    torch._C._cuda_clearCublasWorkspaces()
    peaks["graph_pool"] = _reserved(device) - before

    def replay() -> Output:
        graph.replay()
        return results[0]

    return Ready(run=replay, setup_s=time.perf_counter() - start, peak_bytes=peaks)


def triton(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """Find the fastest tiles of the kernels of Stage 2, and capture one step into a CUDA graph.

    A network without a Stage 2 on pairs of two sizes, as a vanilla one, is captured as it is.
    """
    if reason := lack(inputs[0]):
        raise Unavailable(reason)
    stages = [m for m in model.modules() if isinstance(m, ReducedStage2)]
    if stages and not any(isinstance(m, KernelStage2) for m in stages):
        raise Unavailable(
            "the Triton kernel takes no Stage 2 of this network: it needs dense convolutions of odd kernels that keep "
            "the size, without dilation, and channels of each branch in multiples of 8"
        )
    start = time.perf_counter()
    with tuned():
        _step(model, model, inputs, training)()
    tuning_s = time.perf_counter() - start
    ready = cuda_graph(model, inputs, training)
    return replace(ready, setup_s=ready.setup_s + tuning_s)


def _reserved(device: torch.device) -> int:
    """Bytes that torch's allocator holds on ``device`` once unused ones are given back."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)
