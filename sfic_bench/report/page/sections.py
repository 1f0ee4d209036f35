"""What a report shows, section by section; how it looks is the renderer's."""

from collections.abc import Sequence
from typing import get_args

import pandas as pd

from sfic_bench.paper import Verdict
from sfic_bench.report import comparison, overview
from sfic_bench.report.page.counted import cost_section, layer_section, paper_section, published_section
from sfic_bench.report.page.joined import side_by_side_section
from sfic_bench.report.page.scored import accuracy_section
from sfic_bench.report.page.section import Section, interval
from sfic_bench.report.page.timed import slower_section, time_sections
from sfic_bench.report.records import Records
from sfic_bench.report.table import Column, Table
from sfic_bench.report.verdicts import Comparison


def sections(files: Sequence[Records], compared: Comparison | None = None) -> list[Section]:
    """Everything that ``files`` have to show, the verdict first."""
    costs, times = overview.costs(files), overview.times(files)
    found: list[Section] = [_verdict(costs, times, files, compared)]
    if compared is not None:
        found.append(_compared(compared))
    found += side_by_side_section(costs, times, overview.accuracies(files))
    found += accuracy_section(files)
    if len(times):
        found += [slower_section(times), *time_sections(times, overview.distributions(files))]
    if len(costs):
        found += [
            cost_section(costs),
            *published_section(files),
            *paper_section(files),
            *layer_section(files),
        ]
    return [*found, _environment(files)]


def _verdict(
    costs: pd.DataFrame, times: pd.DataFrame, files: Sequence[Records], compared: Comparison | None
) -> Section:
    """One line a check, with its outcome."""
    rows = []
    if compared is not None:
        rows.append([compared.overall, "against the base", comparison.headline(compared)])
    if len(costs):
        sfic = costs[costs["alpha"].notna()]
        wrong = int((sfic["unexplained"].fillna(0) != 0).sum())
        said = f"{len(sfic) - wrong} of {len(sfic)} SFIC networks have vanilla's parameters, term by term"
        rows.append(["differs" if wrong else "ok", "parameters", said])
    cells = overview.paper_cells(files)
    if cells:
        counts = {v: sum(c.verdict == v for c in cells) for v in get_args(Verdict)}
        said = ", ".join(f"{n} {v.replace(',', ' but')}" for v, n in counts.items())
        rows.append(["differs" if counts["differs"] else "ok", "the paper's printed costs", said])
    if len(times):
        sfic = times[times["alpha"].notna() & times["ratio"].notna()]
        slower = int(sfic["slower"].sum())
        rows.append(
            ["look" if slower else "ok", "fewer MACs but slower", f"{slower} of {len(sfic)} timed SFIC rows"]
        )
        wrong = int((times["status"] == "wrong").sum())
        said = f"{wrong} of {len(times)} paths differ from the float64 reference, and have no time"
        rows.append(["differs" if wrong else "ok", "correct before timed", said])
    table = Table(title="Checks", columns=[Column(name=n) for n in ("outcome", "of", "finding")], rows=rows)
    return Section(
        name="verdict",
        title="Verdict",
        lead="What this report found, in a line each. Everything below says from which figures.",
        tables=[table] if rows else [],
        first=True,
    )


def _compared(compared: Comparison) -> Section:
    return Section(
        name="changes",
        title="What changed",
        lead=f"{compared.head.path.name} against {compared.base.path.name}: counts as integers, times by a rank test.",
        tables=comparison.tables(compared),
        first=True,
    )


def _environment(files: Sequence[Records]) -> Section:
    facts, families = [], []
    for file in files:
        found = dict(file.environment)
        packages = found.pop("packages", None)
        facts.append(found | packages if isinstance(packages, dict) else found)
        for family in file.families:
            noise = family.vanilla_against_itself
            families.append(
                [file.path.name, family.name, str(family.rounds), family.stopped_by,
                 "" if noise is None else f"{noise.median:.3f}",
                 "" if noise is None else interval(*noise.ci95, ".3f")]
            )  # fmt: skip
    names = dict.fromkeys(name for found in facts for name, value in found.items() if value is not None)
    columns = [Column(name=n) for n in ("", *(file.path.name for file in files))]
    rows = [[str(name), *(_fact(found.get(name)) for found in facts)] for name in names]
    tables = [Table(title="Environment", columns=columns, rows=rows, folded=True)]
    if families:
        numbers = ("rounds", "vanilla ÷ itself", "95%")
        heads = ("file", "network", "rounds", "stopped by", *numbers[1:])
        columns = [Column(name=n, number=n in numbers) for n in heads]
        note = "what a run cannot tell apart: vanilla against itself in the same rounds"
        tables.insert(0, Table(title="Noise", columns=columns, rows=families, notes=[note], folded=True))
    return Section(
        name="environment",
        title="Where the figures are from",
        lead="Raw samples are in the files; nothing was removed from them.",
        tables=tables,
    )


def _fact(value: object) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
