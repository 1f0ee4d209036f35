"""Checks that two result files were made under the same conditions, so that the code explains their differences."""

from collections.abc import Collection

from sfic_bench.errors import SficBenchError, UnknownName
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import common_layout


class NotComparable(SficBenchError):
    """Two files that were not made under the same conditions."""

    exit_status = 3


def conditions_of(file: ResultFile) -> dict[str, object]:
    """What the figures of a file depend on besides the code, by name.

    For times and memory it is the machine, the libraries and the settings, and for scores the images and the recipe.
    Counts depend on nothing else.
    """
    if file.scores is not None:
        return {"data": file.scores.data, "split": file.scores.split, "images": file.scores.images}
    if file.robustness is not None:
        return {"data": file.robustness.data, "split": file.robustness.split, "images": file.robustness.images}
    if file.deployment is not None:
        deployed = file.deployment
        return {
            "data": deployed.data, "split": deployed.split, "images": deployed.images,
            "calibration": deployed.calibration, "batch_size": deployed.batch_size, **_machine(file),
        }  # fmt: skip
    if file.table is not None:
        return {"table": file.table.table, **file.table.recipe}
    if file.accuracy is not None:
        return {"protocol": file.accuracy.protocol, **file.accuracy.recipe}
    if file.timing is None:
        return {}
    env, machine = file.environment, _machine(file)
    conditions = file.timing.conditions
    if conditions is None:  # in a file of pytest-benchmark
        return machine | {"machine": env.machine, "python": env.python, "device": env.device}
    return machine | {
        "device": conditions.device.value,
        "dtype": conditions.dtype.value,
        "batch_size": "several, by row" if file.timing.curves else conditions.batch_size,
        "input_size": conditions.input_size,
        "layout": common_layout(file.timing.rows).value,
        "training": conditions.training,
    }


def _machine(file: ResultFile) -> dict[str, object]:
    """What times depend on besides the code and the settings."""
    env = file.environment
    return {
        "processor": env.processor, "cpu_count": env.cpu_count, "threads": env.threads,
        "torch": env.packages.get("torch"), "cuda": env.cuda, "cudnn": env.cudnn, "triton": env.triton,
        "driver": env.driver, "onednn_max_cpu_isa": env.onednn_max_cpu_isa,
    }  # fmt: skip


def check_alike(base: ResultFile, head: ResultFile, ignore: Collection[str]) -> None:
    """Raise unless ``head`` can be compared with ``base``.

    Raises:
        NotComparable: if they are of different kinds, or conditions differ that are not in ``ignore``.
        UnknownName: if ``ignore`` names a condition that does not exist.
    """
    if base.kind != head.kind:
        raise NotComparable(
            f"kind is {base.kind} in {base.path} and {head.kind} in {head.path}; compare like with like"
        )
    first, second = conditions_of(base), conditions_of(head)
    names = first | second
    for name in ignore:
        if name not in names:
            raise UnknownName("condition", name, names)
    differ = [name for name in names if first.get(name) != second.get(name) and name not in ignore]
    if differ:
        values = (
            f"{name} is {first.get(name)} in {base.path} and {second.get(name)} in {head.path}" for name in differ
        )
        raise NotComparable(f"{'; '.join(values)}; measure both alike, or pass --ignore {','.join(differ)}")
