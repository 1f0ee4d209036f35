"""Whether two result files were made alike, so that a difference between them is one of the code."""

from collections.abc import Collection

from sfic_bench.errors import SficBenchError, UnknownName
from sfic_bench.measure.conditions import MemoryLayout
from sfic_bench.results.read import ResultFile


class NotComparable(SficBenchError):
    """Two files that were not made alike."""

    exit_status = 3


def conditions_of(file: ResultFile) -> dict[str, object]:
    """What times and memory depend on besides the code: machine, libraries, and the conditions of the measurement.

    Counts depend on none of it, so that a file of costs has none; a file of accuracies has a recipe instead.
    """
    if file.timing is None:
        return {}
    of = file.environment
    machine: dict[str, object] = {
        "processor": of.processor, "cpu_count": of.cpu_count, "threads": of.threads, "torch": of.packages.get("torch"),
        "cuda": of.cuda, "cudnn": of.cudnn, "triton": of.triton, "driver": of.driver,
        "onednn_max_cpu_isa": of.onednn_max_cpu_isa,
    }  # fmt: skip
    conditions = file.timing.conditions
    if conditions is None:  # pytest-benchmark's
        return machine | {"machine": of.machine, "python": of.python, "device": of.device}
    layouts = {row.layout for row in file.timing.rows}
    return machine | {
        "device": conditions.device.value,
        "dtype": conditions.dtype.value,
        "batch_size": conditions.batch_size,
        "input_size": conditions.input_size,
        "layout": (layouts.pop() if len(layouts) == 1 else MemoryLayout.BOTH).value,
        "training": conditions.training,
    }


def check_alike(base: ResultFile, head: ResultFile, ignore: Collection[str]) -> None:
    """Raise unless ``head`` can be compared with ``base``.

    Raises:
        NotComparable: if they are of different kinds, or were made under different conditions but those to ``ignore``.
        UnknownName: if there is no condition of a name to ``ignore``.
    """
    if base.kind != head.kind:
        raise NotComparable(
            f"kind is {base.kind} in {base.path} and {head.kind} in {head.path}; compare like with like"
        )
    if base.accuracy is not None:
        raise NotComparable(
            f"{base.path} and {head.path} hold accuracies, whose differences need the same images: `sfic-bench accuracy` "
            "states them against vanilla, `sfic-bench report` puts several files on one page"
        )
    first, second = conditions_of(base), conditions_of(head)
    for name in ignore:
        if name not in first:
            raise UnknownName("condition", name, first)
    differ = [name for name in first if first[name] != second[name] and name not in ignore]
    if differ:
        values = (f"{name} is {first[name]} in {base.path} and {second[name]} in {head.path}" for name in differ)
        raise NotComparable(f"{'; '.join(values)}; measure both alike, or pass --ignore {','.join(differ)}")
