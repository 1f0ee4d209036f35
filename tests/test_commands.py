"""The functions of the package do what the commands do: each command has one, with the same options."""

import inspect
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import typer
from helpers.command import run_command, run_python
from msgspec import Struct, json

import sfic_bench
from sfic_bench.cli.main import app_with
from sfic_bench.commands.counted import FailedProcess
from sfic_bench.commands.tables import tables_of
from sfic_bench.commands.watcher import UNWATCHED, Advance, Watcher
from sfic_bench.errors import InvalidValue, UnknownName, UnsupportedModel
from sfic_bench.processes import cores
from sfic_bench.reporting.notebook import to_html
from sfic_bench.reporting.table import Column, Table
from sfic_bench.results.cost import CostResult
from sfic_bench.results.read import UnreadableResult
from sfic_bench.results.timing import TimingResult
from sfic_bench.training.recipe import Recipe, TrainingDevices

OTHERWISE = {"list": "list_names", "sweep_run": "sweep"}
"""The functions whose names differ from their commands': ``list`` is Python's own."""

SHOWN = {"format", "convention", "per_frame", "context", "fail_on_inconclusive", "fail_on_change", "verbose", "quiet"}
"""Options that decide how a result is shown, or which exit status it has."""

ELSEWHERE = {
    "audit": {"claims": "audit_claims", "results": "audit_claims"},
    "table": {"results": "fill_table", "dry_run": "plan_table"},
    "report": {"image": "Page.images"},
}
"""Options that choose another function."""

RETURNED = {
    "flops", "audit", "latency", "stage2", "compare", "report", "accuracy", "table", "evaluate", "robustness",
    "predict", "explain", "deploy", "list", "env", "data_check", "sweep_status",
}  # fmt: skip
"""Commands whose ``--output`` is where the result is written, which a function returns."""


def commands(application: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Callable[..., object]]]:
    for command in application.registered_commands:
        assert command.name is not None and command.callback is not None
        yield f"{prefix}{command.name.replace('-', '_')}", command.callback
    for group in application.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{prefix}{group.name}_")


def function_of(name: str) -> Callable[..., object]:
    function: Callable[..., object] = getattr(sfic_bench, OTHERWISE.get(name, name))
    return function


@pytest.mark.parametrize("name", [name for name, _ in commands(app_with())])
def test_each_command_has_a_documented_function_with_typed_results(name: str) -> None:
    function = function_of(name)
    assert OTHERWISE.get(name, name) in sfic_bench.__all__
    assert not isinstance(function, ModuleType), f"sfic_bench.{name} is a module"
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert function.__doc__ and len(function.__doc__.splitlines()[0]) > 20
    described = function.__doc__ + (sfic_bench.latency.__doc__ or "") * (name == "stage2")
    undocumented = [p for p in signature.parameters if p not in described]
    assert not undocumented, f"{name} does not describe {undocumented}"


@pytest.mark.parametrize(("name", "callback"), list(commands(app_with())))
def test_each_option_of_a_command_is_an_argument_of_its_function(name: str, callback: Callable[..., object]) -> None:
    of_recipe = {*Recipe.__dataclass_fields__, *TrainingDevices.__dataclass_fields__} - {"seed"}
    options = {*inspect.signature(callback).parameters} - SHOWN - ELSEWHERE.get(name, {}).keys()
    options = {option.removeprefix("no_") for option in options}  # --no-vanilla gives vanilla=False
    if name in RETURNED:
        options -= {"output"} if name not in ("sweep_status",) else set()
    arguments = {*inspect.signature(function_of(name)).parameters}
    if "recipe" in arguments:
        options = (options - of_recipe - {"seed"}) | {"recipe"}
    arguments |= {"files"} if "results" in arguments else set()
    assert options <= arguments, f"{name}: {sorted(options - arguments)} cannot be given to the function"


@pytest.mark.parametrize("name", sorted({f for of in ELSEWHERE.values() for f in of.values() if "." not in f}))
def test_options_that_choose_another_function_have_it(name: str) -> None:
    assert callable(getattr(sfic_bench, name)) and name in sfic_bench.__all__


@pytest.mark.parametrize("name", sfic_bench.__all__)
def test_names_of_the_package_are_functions_whatever_was_imported(name: str) -> None:
    assert not isinstance(getattr(sfic_bench, name), ModuleType)


@pytest.fixture(scope="module")
def costs() -> CostResult:
    return sfic_bench.flops("mobilenet", alpha=0.5, beta=[0.5, 1.0])


@pytest.fixture(scope="module")
def times() -> TimingResult:
    return timed("mobilenet", alpha=0.5)


def timed(backbone: str | list[str], *, alpha: float | tuple[()], watch: Watcher = UNWATCHED) -> TimingResult:
    return sfic_bench.latency(
        backbone, alpha=alpha, beta=1.0, path="fused", input_size=32, batch_size=1, max_seconds=0.2, rounds=2,
        watch=watch,
    )  # fmt: skip


def test_a_function_gives_what_its_command_writes(costs: CostResult) -> None:
    status, out, _ = run_command(
        "flops", "--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5,1", "--format", "json"
    )
    assert status == 0
    assert json.decode(out, type=CostResult).rows == costs.rows


def test_results_are_frames_and_show_themselves_in_a_notebook(costs: CostResult, times: TimingResult) -> None:
    assert list(costs.to_frame()["beta"].fillna(0)) == [0, 0.5, 1]
    for result in (costs, times):
        html = result._repr_html_()
        first = tables_of(result)[0]
        assert all(row[0] in html for row in first.rows) and "vs." in html
        assert html.count("<tr") > len(result.rows)
        assert str(result).splitlines()[0] == first.title
        assert repr(result) == f"<{type(result).__name__} of {len(result.rows)} rows>"


def test_a_notebook_leaves_out_what_matters_less_and_runs_no_markup() -> None:
    names = ("network", "rank 1", "rank 2")
    columns = [Column(name=name, rank=rank) for rank, name in enumerate(names)]
    table = Table(title="<b>", columns=columns, rows=[["<script>", "x" * 60, "y" * 60]], notes=["<i>"])
    html = to_html([table])
    assert "&lt;script&gt;" in html and "&lt;b&gt;" in html and "&lt;i&gt;" in html
    assert "x" * 60 in html and "y" * 60 not in html
    assert "left out at this width: rank 2; to_frame() has them" in html


def test_results_go_on_a_page_without_files(costs: CostResult, times: TimingResult, tmp_path: Path) -> None:
    page = sfic_bench.report([costs, times])
    assert "mobilenet" in page.to_markdown()
    assert page.save(tmp_path / "page.md").read_text(encoding="utf-8") == page.to_markdown()
    with pytest.raises(InvalidValue, match=r"must end in \.html, \.htm, \.md"):
        page.save(tmp_path / "page.txt")


def test_results_are_compared_without_files(costs: CostResult) -> None:
    assert sfic_bench.compare(costs, costs).verdict == "equivalent"
    with pytest.raises(UnreadableResult, match="ListResult is no result that can be read back"):
        sfic_bench.compare(sfic_bench.list_names(), costs)  # type: ignore[arg-type]


def test_a_watcher_hears_of_each_step_and_of_what_is_finished() -> None:
    kept: list[Struct] = []

    class Keeper(Watcher):
        def keep(self, result: Struct) -> None:
            kept.append(result)

    result = timed(["mobilenet", "resnet26"], alpha=(), watch=Keeper())
    assert [len(each.rows) for each in kept if isinstance(each, TimingResult)] == [1, 2]
    assert kept[-1] == result


def test_what_is_left_out_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lone = lone_network(tmp_path)
    with caplog.at_level(logging.WARNING, "sfic_bench"):
        result = sfic_bench.flops([lone, "mobilenet"], alpha=0.5, beta=0.5)
    assert {row.backbone for row in result.rows if row.alpha is not None} == {"mobilenet"}
    assert lone in caplog.text
    with pytest.raises(UnsupportedModel):
        sfic_bench.flops(lone, alpha=0.5, beta=0.5)


def lone_network(folder: Path, before: str = "") -> str:
    """A network that no SFIC form is made of, since its one layer is the classifier."""
    file = folder / "networks.py"
    layers = "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes)"
    code = f"import os\nfrom torch import nn\ndef lone(classes):\n    {before}\n    return nn.Sequential({layers})\n"
    file.write_text(code)
    return f"{file}:lone"


def test_processes_count_what_one_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [lone_network(tmp_path), "mobilenet", "vgg13", "alexnet"]
    heard: list[int] = []

    class Listener(Watcher):
        @contextmanager
        def progress(self, description: str, total: int) -> Iterator[Advance]:
            def advance(now: str, by: int = 1) -> None:
                heard.append(by)

            yield advance

    with caplog.at_level(logging.WARNING, "sfic_bench"):
        several = sfic_bench.flops(names, alpha=[0.25, 0.5], beta=0.5, per_layer=True, workers=3, watch=Listener())
        alone = sfic_bench.flops(names, alpha=[0.25, 0.5], beta=0.5, per_layer=True, watch=Listener())
    assert several.rows == alone.rows
    assert sum(heard) == 2 * len(several.rows) == 20
    first, second = (record.getMessage() for record in caplog.records)
    assert first == second and names[0] in first


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives processes all cores")
def test_a_process_counts_the_cores_that_it_may_use() -> None:
    one_core = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    asked = "from sfic_bench.processes import cores; print(cores())"
    assert run_python("-c", f"{one_core}; {asked}").stdout == "1\n"
    assert cores() == len(os.sched_getaffinity(0))


def test_a_killed_process_is_told(tmp_path: Path) -> None:
    killed = lone_network(tmp_path, before="os.kill(os.getpid(), 9)")
    with pytest.raises(FailedProcess, match="--workers 1"):
        sfic_bench.flops([killed, "mobilenet"], workers=2)


def test_an_error_of_another_process_is_the_same(tmp_path: Path) -> None:
    names = [f"{lone_network(tmp_path)}ly", "mobilenet"]
    messages = []
    for workers in (1, 2):
        with pytest.raises(InvalidValue) as caught:
            sfic_bench.flops(names, workers=workers)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    unknown = UnknownName("backbone", "resnet27", ["resnet26"])
    sent = pickle.loads(pickle.dumps(unknown))
    assert type(sent) is UnknownName and str(sent) == str(unknown)


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize(("flag", "silent", "chatty"), [("-q", True, False), ("-v", False, True), (None, False, False)])
def test_quiet_and_verbose(flag: str | None, silent: bool, chatty: bool, is_behind: bool, tmp_path: Path) -> None:
    flags = [] if flag is None else [flag]
    before, behind = ([], flags) if is_behind else (flags, [])
    counted = ("flops", "--backbone", "mobilenet", "--alpha", "none", "--format", "json", "-o", tmp_path / "costs.json")
    _, _, err = run_command(*before, *counted, *behind)
    assert ("wrote" not in err) == silent
    assert ("counting: mobilenet" in err) == chatty
    _, _, err = run_command(*before, "flops", "--backbone", "no-such-network", *behind)
    assert "sfic-bench: " in err
    assert ("Traceback" in err) == chatty


def test_an_old_name_of_an_option_is_understood_and_told() -> None:
    for option in (["--dtype", "int8"], ["--dtype=int8"]):
        status, _, err = run_command("latency", *option)
        assert status == 2
        assert "--dtype is called --precision now" in err and "'int8' is not one of" in err
