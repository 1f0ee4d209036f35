"""Accuracies by a protocol as tables."""

from collections.abc import Mapping, Sequence

from sfic_bench.reporting.cells import estimate, number
from sfic_bench.reporting.columns import Cells, interval_columns, tabulated
from sfic_bench.reporting.table import Column, Table
from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow
from sfic_bench.results.fields import Value
from sfic_bench.units import format_ratio

ACCURACY_COLUMNS: list[Cells[AccuracyRow]] = [
    Cells("trained on", lambda row: row.train_on, number=False),
    Cells("tested on", lambda row: row.test_on, number=False),
    Cells("network", lambda row: row.backbone, number=False),
    Cells("α", lambda row: format_ratio(row.alpha), always=True),
    Cells("β", lambda row: format_ratio(row.beta), always=True),
    *interval_columns("AUC %", lambda row: row.frame_auc, scale=100),
    *interval_columns("AUC −\nvanilla's", lambda row: row.auc_over_vanilla, "+.2f", scale=100, between=" to "),
    *interval_columns("BACC %", lambda row: row.frame_bacc, scale=100, rank=2),
    *interval_columns("AUC %\nper video", lambda row: row.video_auc, scale=100, rank=3),
    Cells("AUC %\nprinted", lambda row: number(row.auc_printed), rank=1),
    Cells("BACC %\nprinted", lambda row: number(row.bacc_printed), rank=2),
    Cells("vanilla\nnetwork", lambda row: row.against or "", number=False),
    Cells("seeds", lambda row: str(row.seeds), rank=1),
]

NOTE = (
    "means over seeds; intervals resample runs and videos; AUC − vanilla's: on the same images and videos, positive is "
    "better than vanilla"
)


DISTORTIONS = ("perspective", "resize", "blur", "brightness", "noise", "jpeg", "cutout")
"""The fields of a recipe that are 0 where the paper's recipe has none."""


def recipe_in_words(recipe: Mapping[str, Value]) -> str:
    """What mattered most in a training, from the fields of its recipe, of which older files have fewer."""
    falls = "falling as a cosine" if recipe.get("schedule") == "cosine" else f"× {recipe['decay']:g} each epoch"
    epochs = "1 epoch" if recipe["epochs"] == 1 else f"{recipe['epochs']} epochs"
    words = [
        f"{epochs}, {recipe['input_size']}×{recipe['input_size']}, batch {recipe['batch_size']}, "
        f"{recipe.get('optimiser', 'adam')}, learning rate {recipe['learning_rate']:g} {falls}"
    ]
    if recipe.get("init", "random") != "random":
        words.append(f"first weights from {recipe['init']}")
    if recipe.get("ema"):
        words.append("averaged weights")
    if recipe.get("keep") == "best":
        words.append("the best epoch by AUC on the validation split")
    if used := [name for name in DISTORTIONS if recipe.get(name)]:
        words.append(", ".join(used))
    return "; ".join(words)


def protocol_table(result: AccuracyResult) -> Table:
    """One row for each network and experiment, as ``accuracy`` prints them."""
    notes = [f"{recipe_in_words(result.recipe)}; seeds {', '.join(map(str, result.seeds))}", NOTE]
    if any(row.auc_printed is not None for row in result.rows):
        notes.append("printed: the paper's, without intervals; its FF++ is split image by image, which leaks")
    else:
        notes.append("these are not the paper's data, so that no printed figure can stand beside them")
    title = f"Protocol {result.protocol}"
    return tabulated(
        title, ACCURACY_COLUMNS, result.rows, notes=notes, group_by=lambda row: (row.train_on, row.test_on)
    )


def matrix_tables(rows: Sequence[AccuracyRow]) -> list[Table]:
    """For each network a table of AUC with a row for what it was trained on and a column for what it was tested on.

    A network has one only if some training was tested on several data, since `protocol_table` shows the rest as well.
    """
    networks: dict[str, dict[tuple[str, str], list[str]]] = {}
    for row in rows:
        cells = networks.setdefault(row.network, {})
        cells.setdefault((row.train_on, row.test_on), []).append(estimate(row.frame_auc, scale=100))
    return [table for network, cells in networks.items() if (table := _matrix(network, cells)) is not None]


def _matrix(network: str, cells: dict[tuple[str, str], list[str]]) -> Table | None:
    trained, tested = (list(dict.fromkeys(place[i] for place in cells)) for i in (0, 1))
    if len(trained) < 2 or len(tested) < 2 or len(cells) == len(trained):
        return None
    return Table(
        title=f"{network}: AUC % by training and test data",
        columns=[Column(name="trained on"), *(Column(name=f"on {name}", number=True) for name in tested)],
        rows=[[name, *(", ".join(cells.get((name, other), [])) for other in tested)] for name in trained],
        notes=["per image, means over seeds; several figures of one cell are of several files"],
    )
