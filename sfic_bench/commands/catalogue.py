"""What there is: names that can be used, and this machine."""

from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks import registry
from sfic_bench.results.catalogue import EnvironmentResult, ListResult, NamedThing
from sfic_bench.results.environment import environment


def list_names() -> ListResult:
    """List the names of models, counting conventions and execution paths, those of plug-ins among them."""
    from sfic_bench.counting.conventions import CONVENTIONS, DEFAULT  # imports torch

    rows = [NamedThing(kind="model", name=name, summary="backbone") for name in registry.names()]
    for name in registry.detector_names():
        size = registry.input_size_of(name)
        rows.append(NamedThing(kind="model", name=name, summary=f"detector, made for {size}×{size}"))
    rows += [NamedThing(kind="model", name=name, summary="backbone of a plug-in") for name in registry.plugin_names()]
    for name, convention in CONVENTIONS.items():
        default = " (default)" if name == DEFAULT else ""
        rows.append(NamedThing(kind="convention", name=name, summary=convention.summary + default))
    for path in EXECUTION_PATHS.values():
        limits = f" ({path.limits})" if path.limits else ""
        rows.append(NamedThing(kind="path", name=path.name, summary=path.summary + limits))
    return ListResult(rows=rows)


def env() -> EnvironmentResult:
    """Versions of this package, of Python and of the packages that it uses, and the devices of this machine."""
    import torch

    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    devices = [f"cpu ({torch.get_num_threads()} threads)", *(f"cuda:{i} {n}" for i, n in enumerate(cuda))]
    return EnvironmentResult(environment=environment(), devices=devices)
