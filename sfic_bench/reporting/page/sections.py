"""What a report shows, section by section. `sfic_bench.reporting.page.render` decides how it looks."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from msgspec.structs import asdict

from sfic_bench.reporting import overview
from sfic_bench.reporting.audit_tables import count_verdicts
from sfic_bench.reporting.columns import Cells, interval_columns, tabulated
from sfic_bench.reporting.comparison_tables import comparison_tables, headline
from sfic_bench.reporting.page.batches import batch_sections
from sfic_bench.reporting.page.counted import cost_section, layer_section, paper_section, published_section
from sfic_bench.reporting.page.deployed import deployment_sections
from sfic_bench.reporting.page.joined import side_by_side_section
from sfic_bench.reporting.page.measured import (
    accuracy_section,
    scores_section,
    slower_section,
    table_sections,
    time_sections,
)
from sfic_bench.reporting.page.robust import robustness_sections, robustness_verdict
from sfic_bench.reporting.page.section import Section
from sfic_bench.reporting.table import Column, Table
from sfic_bench.results.audit import AuditRow
from sfic_bench.results.comparison import ComparisonResult
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import Family

NOISE_COLUMNS: list[Cells[tuple[str, Family]]] = [
    Cells("file", lambda line: line[0], number=False),
    Cells("network", lambda line: line[1].name, number=False),
    Cells("batch", lambda line: str(line[1].batch_size or "")),
    Cells("rounds", lambda line: str(line[1].rounds)),
    Cells("stopped by", lambda line: line[1].stopped_by, number=False),
    *interval_columns("vanilla against itself", lambda line: line[1].vanilla_against_itself, ".3f"),
]


def sections(files: Sequence[ResultFile], comparison: ComparisonResult | None = None) -> list[Section]:
    """The sections of a report of ``files``, the verdict first."""
    costs, times, accuracies = overview.costs(files), overview.times(files), overview.accuracies(files)
    audited = overview.audited(files)
    parts: list[Section] = [_verdict(files, costs, times, audited, comparison)]
    if comparison is not None:
        head, base = (Path(source.path).name for source in (comparison.head, comparison.base))
        parts.append(
            Section(
                name="changes",
                title="What changed",
                lead=f"{head} against {base}: counts as integers, times by a rank test.",
                tables=comparison_tables(comparison),
                first=True,
            )
        )
    parts += side_by_side_section(costs, times, accuracies)
    if len(accuracies):
        parts.append(accuracy_section(accuracies))
    parts += [*table_sections(files), *scores_section(files), *robustness_sections(files), *deployment_sections(files)]
    if len(times):
        parts += [
            slower_section(times),
            *batch_sections(files, times),
            *time_sections(times, overview.distributions(files)),
        ]
    if len(costs):
        parts += [
            cost_section(costs),
            *published_section(files),
            *layer_section(files),
        ]
    parts += paper_section(audited, files)
    return [*parts, _environment(files)]


def _verdict(
    files: Sequence[ResultFile],
    costs: pd.DataFrame,
    times: pd.DataFrame,
    audited: Sequence[AuditRow],
    comparison: ComparisonResult | None,
) -> Section:
    """One line for each check, with its outcome."""
    rows = []
    if comparison is not None:
        rows.append([comparison.verdict, "against the base", headline(comparison)])
    if len(costs):
        sfic = costs[costs["alpha"].notna()]
        wrong = int((sfic["unexplained"].fillna(0) != 0).sum())
        finding = f"{len(sfic) - wrong} of {len(sfic)} SFIC networks have vanilla's parameters, term by term"
        rows.append(["differs" if wrong else "ok", "parameters", finding])
    if audited:
        counts = count_verdicts(audited)
        finding = ", ".join(f"{n} {verdict.replace(',', ' but')}" for verdict, n in counts.items())
        rows.append(["differs" if counts["differs"] else "ok", "the paper's printed costs", finding])
    if len(times):
        sfic = times[times["alpha"].notna() & times["ratio"].notna()]
        slower = int(sfic["slower"].sum())
        rows.append(["look" if slower else "ok", "fewer MACs but slower", f"{slower} of {len(sfic)} timed SFIC rows"])
        wrong = int((times["status"] == "wrong").sum())
        finding = f"{wrong} of {len(times)} paths differ from the float64 reference, and have no time"
        rows.append(["differs" if wrong else "ok", "correct before timed", finding])
    rows += robustness_verdict(files)
    table = Table(title="Checks", columns=[Column(name=n) for n in ("outcome", "of", "finding")], rows=rows)
    return Section(
        name="verdict",
        title="Verdict",
        lead="The outcome of each check in one line. The sections below show the figures behind it.",
        tables=[table] if rows else [],
        first=True,
    )


def _environment(files: Sequence[ResultFile]) -> Section:
    made_in: dict[tuple[tuple[str, str], ...], list[str]] = {}  # the files of each environment
    for file in files:
        made_in.setdefault(tuple(_facts(file).items()), []).append(file.path.name)
    environments = [dict(facts) for facts in made_in]
    names = dict.fromkeys(name for facts in environments for name in facts)
    columns = [Column(name=""), *(Column(name=", ".join(files_of)) for files_of in made_in.values())]
    rows = [[name, *(facts.get(name, "") for facts in environments)] for name in names]
    tables = [Table(title="Environment", columns=columns, rows=rows, folded=True)]
    families = [(file.path.name, family) for file in files if file.timing for family in file.timing.families]
    if families:
        note = "vanilla against itself, in the same rounds, shows differences that a run cannot tell apart"
        tables.insert(0, tabulated("Noise", NOISE_COLUMNS, families, notes=[note], folded=True))
    return Section(
        name="environment",
        title="Where the figures are from",
        lead="Raw samples are in the files; nothing was removed from them.",
        tables=tables,
    )


def _facts(file: ResultFile) -> dict[str, str]:
    """The environment of a file and its packages, as text, without what is not known."""
    facts: dict[str, object] = asdict(file.environment) | file.environment.packages
    del facts["packages"]
    return {
        name: " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in facts.items()
        if value not in (None, [])
    }
