"""``sfic-bench list`` and ``sfic-bench env``."""

from sfic_bench import backbones
from sfic_bench.cli.options import FormatOption, OutputOption
from sfic_bench.cli.output import Format, Output, Result
from sfic_bench.report import Column, Table, environment
from sfic_bench.report.environment import PACKAGES, version_of
from sfic_bench.spec import EXECUTION_PATHS


def list_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List what can be named: models, conventions and execution paths."""
    from sfic_bench.counting.conventions import CONVENTIONS, DEFAULT  # imports torch

    out = Output(format=format, path=output)
    records = [{"kind": "model", "name": name, "summary": "backbone"} for name in backbones.names()]
    records += [
        {"kind": "model", "name": n, "summary": f"detector, made for {s}×{s}"}
        for n in backbones.detector_names()
        for s in (backbones.input_size_of(n),)
    ]
    for name, convention in CONVENTIONS.items():
        default = " (default)" if name == DEFAULT else ""
        records.append({"kind": "convention", "name": name, "summary": convention.summary + default})
    records += [{"kind": "path", "name": n, "summary": p.summary} for n, p in EXECUTION_PATHS.items()]

    def table(title: str, kind: str) -> Table:
        rows = [[r["name"], r["summary"]] for r in records if r["kind"] == kind]
        return Table(title=title, columns=[Column(name="name"), Column(name="what it is")], rows=rows)

    out.emit(
        Result(
            document={"schema": "sfic-bench/list/1", "rows": records},
            tables=[
                table("Models", "model"),
                table("Conventions: what counts as a MAC", "convention"),
                table("Execution paths", "path"),
            ],
            records=records,
        )
    )


def env_command(format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """Show versions and devices, and what is missing with the command that adds it."""
    out = Output(format=format, path=output)
    records: list[dict[str, str]] = []
    for name, extra in PACKAGES.items():
        version = version_of(name)
        command = f"pip install 'sfic-bench[{extra}]'" if extra else f"pip install {name}"
        records.append({"what": name, "found": version or "missing", "to add it": "" if version else command})
    devices = _devices()
    records += [{"what": "device", "found": d, "to add it": ""} for d in devices]
    facts = environment()
    rows = [[k, str(facts[k])] for k in ("sfic_bench", "python", "platform", "cpu_count")]
    columns = [Column(name=n) for n in ("what", "found", "to add it")]
    out.emit(
        Result(
            document={
                "schema": "sfic-bench/environment/1",
                "environment": facts,
                "devices": devices,
            },
            tables=[
                Table(
                    title="Environment",
                    columns=columns,
                    rows=[[*row, ""] for row in rows] + [list(r.values()) for r in records],
                )
            ],
            records=records,
        )
    )


def _devices() -> list[str]:
    import torch

    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [f"cpu ({torch.get_num_threads()} threads)", *(f"cuda:{i} {n}" for i, n in enumerate(cuda))]
