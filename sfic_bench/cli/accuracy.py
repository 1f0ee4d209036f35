"""``sfic-bench accuracy``: a protocol over a grid of networks and several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfic_bench.cli import options
from sfic_bench.cli.output import Format, Output, Result
from sfic_bench.cli.training import (
    BatchSize,
    Compression,
    Decay,
    Devices,
    Epochs,
    LearningRate,
    Precision,
    Skip,
    Workers,
    bar,
    is_first_process,
    manifest_of,
    tell_left_out,
    training_room,
)
from sfic_bench.report import Column, Table
from sfic_bench.units import format_ratio

if TYPE_CHECKING:
    from sfic_bench.train.accuracy import Cell
    from sfic_bench.train.recipe import Recipe

Alphas = Annotated[
    str | None,
    typer.Option(
        metavar="A[,A…]|none",
        help="Shares of the frequency channels; none for vanilla alone. Default: .5; none for detectors.",
        show_default=False,
    ),
]
Betas = Annotated[
    str | None,
    typer.Option(metavar="B[,B…]", help="Scales of the frequency branch. Default: 1.", show_default=False),
]


def accuracy_command(
    runs: Annotated[
        Path, typer.Option(metavar="DIR", help="Where runs are kept; finished ones are not repeated.")
    ],
    protocol: Annotated[
        str, typer.Option(metavar="intra|leave-one-out|cross", help="What is trained on, and tested.")
    ] = "intra",
    backbone: options.Backbones = "resnet26",
    alpha: Alphas = None,
    beta: Betas = None,
    data: Annotated[
        str, typer.Option(metavar="MANIFEST[,…]|orl", help="Manifests, or the embedded default.")
    ] = "orl",
    compression: Compression = "",
    seeds: Annotated[str, typer.Option(metavar="N[,N…]", help="One run for each.")] = "7",
    epochs: Epochs = 20,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 1e-4,
    decay: Decay = 0.5,
    input_size: options.InputSize = 256,
    precision: Precision = "fp32",
    device: options.DeviceOption = "cpu",
    devices: Devices = 1,
    workers: Workers = 0,
    skip_unreadable: Skip = False,
    on_unsupported: options.Unsupported = "error",
    format: options.FormatOption = Format.TABLE,
    output: options.OutputOption = None,
) -> None:
    """Train and score a grid of networks by one of the paper's protocols, each with several seeds.

    Runs that are finished are not repeated, and stopped ones go on, so that the same command completes a
    grid or extends it. The paper's figure stands beside ours where the data are the paper's.
    """
    grid = options.grid(backbone, alpha, beta, on_unsupported)
    if alpha is None:
        grid = replace(grid, alphas=(0.5,))
    if beta is None:
        grid = replace(grid, betas=(1.0,))
    chosen = options.counts("--seeds", seeds)
    out = Output(format=format, path=output)
    cells = []
    with training_room():
        from sfic_bench.train.accuracy import Cell, predictions, run_of, trained
        from sfic_bench.train.loop import Machine
        from sfic_bench.train.protocols import experiments
        from sfic_bench.train.recipe import Recipe

        machine = Machine(
            accelerator=device, devices=devices, workers=workers, skip_unreadable=skip_unreadable
        )
        recipe = Recipe(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, decay=decay,
            input_size=input_size, precision=precision,
        )  # fmt: skip
        found = experiments(protocol, [manifest_of(name, compression) for name in options.parts(data)])
        # One training serves all experiments that train on the same.
        for experiment in found:
            for variant in grid:
                predicted = []
                for seed in chosen:
                    run = run_of(runs, variant, experiment.train_on, seed)
                    with bar(f"{variant}, {experiment.train_on}, seed {seed}", recipe) as tell:
                        seeded = replace(recipe, seed=seed)
                        tell_left_out(trained(variant, experiment, seeded, machine, run, tell))
                    predicted.append(predictions(run, experiment))
                cells.append(
                    Cell(
                        variant=variant,
                        test_on=experiment.test_on,
                        train_on=experiment.train_on,
                        runs=predicted,
                    )
                )
                if is_first_process():
                    out.keep(result(cells, protocol, recipe, chosen))
    if is_first_process():
        out.emit(result(cells, protocol, recipe, chosen))


def result(cells: "Sequence[Cell]", protocol: str, recipe: "Recipe", seeds: Sequence[int]) -> Result:
    """The document as tables and records, too."""
    from sfic_bench.train.accuracy import document

    found = document(cells, protocol, recipe, seeds)
    rows = found["rows"]
    is_paper = any(row["auc_printed"] is not None for row in rows)
    return Result(
        document=found,
        tables=[_table(rows, protocol, recipe, seeds, is_paper)],
        records=[_flat(row) for row in rows],
    )


def _flat(row: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            low, high = value["ci95"] or (None, None)
            flat |= {name: value["value"], f"{name}_low": low, f"{name}_high": high}
        else:
            flat[name] = value
    return flat


def _table(
    rows: Sequence[Mapping[str, Any]], protocol: str, recipe: "Recipe", seeds: Sequence[int], is_paper: bool
) -> Table:
    names = [
        "trained on",
        "tested on",
        "network",
        "α",
        "β",
        "AUC %",
        "95%",
        "− vanilla",
        "95%",
        "BACC %",
        "95%",
        "AUC % per video",
        "95%",
    ]
    if is_paper:
        names += ["AUC printed", "BACC printed"]
    text = names[:3]
    columns = [Column(name=n, number=n not in text) for n in names]
    cells, sections = [], set()
    for i, row in enumerate(rows):
        if i and (rows[i - 1]["train_on"], rows[i - 1]["test_on"]) != (row["train_on"], row["test_on"]):
            sections.add(i - 1)
        line = [
            row["train_on"],
            row["test_on"],
            row["backbone"],
            format_ratio(row["alpha"]),
            format_ratio(row["beta"]),
        ]
        for name in ("frame_auc", "auc_over_vanilla", "frame_bacc", "video_auc"):
            line += _percent(row.get(name), signed=name.endswith("vanilla"))
        if is_paper:
            line += ["" if row[k] is None else f"{row[k]:.2f}" for k in ("auc_printed", "bacc_printed")]
        cells.append(line)
    notes = [
        f"{recipe.epochs} epochs, {recipe.input_size}×{recipe.input_size}, batch {recipe.batch_size}, learning rate "
        f"{recipe.learning_rate:g} × {recipe.decay:g} each epoch; seeds {', '.join(map(str, seeds))}: means",
        "intervals resample runs and videos; − vanilla: on the same images and videos; positive is better than vanilla",
    ]
    if is_paper:
        notes.append("printed: the paper's, without intervals; its FF++ is split image by image, which leaks")
    else:
        notes.append("not the paper's data: no printed figure can stand beside these")
    return Table(
        title=f"Protocol {protocol}", columns=columns, rows=cells, notes=notes, sections=frozenset(sections)
    )


def _percent(score: Mapping[str, Any] | None, *, signed: bool) -> list[str]:
    if score is None or score["value"] is None:
        return ["", ""]
    sign = "+" if signed else ""
    value = f"{100 * score['value']:{sign}.2f}"
    ci95 = score["ci95"]
    return [value, "" if ci95 is None else f"{100 * ci95[0]:{sign}.2f} to {100 * ci95[1]:{sign}.2f}"]
