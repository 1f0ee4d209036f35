"""The sections on runtimes and int8: the AUC of each network on each of them against its time."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from sfic_bench.reporting.deployment_tables import deployment_table
from sfic_bench.reporting.overview import interval_values
from sfic_bench.reporting.page.charts import pareto
from sfic_bench.reporting.page.section import Section
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.read import ResultFile


def deployment_sections(files: Sequence[ResultFile]) -> Iterator[Section]:
    """A table and a chart for each file of ``deploy``."""
    for i, result in enumerate((result for file in files if (result := file.deployment) is not None), 1):
        frame = _points(result)
        caption = "AUC against time; no point beats those on the dashed front in both"
        yield Section(
            name=f"deployment-{i}",
            title=f"Runtimes: {result.data}, {result.split}",
            lead="What ONNX Runtime, OpenVINO and int8 change of a network's accuracy and time. All runtimes scored "
            "the same images, so that a difference has an interval of its own, and were timed in the same rounds.",
            tables=[deployment_table(result)],
            charts={caption: partial(pareto, frame, "ms", "auc", highest=True)} if len(frame) > 1 else {},
        )


def _points(result: DeploymentResult) -> pd.DataFrame:
    """A point for each network and runtime that has an AUC and a time."""
    return pd.DataFrame(
        {
            "row": f"{row.network} {row.runtime}",
            "backbone": row.backbone,
            "alpha": row.alpha,
            "beta": row.beta,
            "path": row.runtime,
            "ms": row.latency_ms.estimate,
            **interval_values("auc", row.frame_auc, 100),
        }
        for row in result.rows
        if row.latency_ms is not None and row.frame_auc is not None
    )
