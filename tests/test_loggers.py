"""What trainings tell their loggers, and that no logger ends a training."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command import run_command, run_command_process
from helpers.training import MOBILENET, SIZE, pictures, recipe, small_splits, write_splits
from lightning_fabric.loggers.logger import Logger

from sfic_bench.errors import MissingDependency, UnknownName
from sfic_bench.extras import install_command
from sfic_bench.training import loggers
from sfic_bench.training.logs import LoggedRun, LoggerMaker
from sfic_bench.training.loop import TrainingProgress, train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.training.splits import DataSplits

PLUGIN = Path(__file__).parent / "plugin"


class Recorder(Logger):
    """Keeps what it is told, and fails at the call that it is told to."""

    def __init__(self, run: LoggedRun, fails_at: str = "") -> None:
        self.run, self.fails_at = run, fails_at
        self.params: list[dict[str, object]] = []
        self.metrics: list[tuple[int | None, dict[str, float]]] = []
        self.ends: list[str] = []
        self._check("begin")

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def version(self) -> str:
        return "1"

    def log_hyperparams(self, params: object, *args: object, **kwargs: object) -> None:
        self._check("log_hyperparams")
        assert isinstance(params, dict)
        self.params.append(params)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._check("log_metrics")
        self.metrics.append((step, metrics))

    def finalize(self, status: str) -> None:
        self.ends.append(status)
        self._check("finalize")

    def _check(self, call: str) -> None:
        if call == self.fails_at:
            raise ConnectionError(f"no network in {call}")


def recorder(made: list[Recorder], fails_at: str = "") -> LoggerMaker:
    def maker(run: LoggedRun) -> Recorder:
        made.append(Recorder(run, fails_at))
        return made[-1]

    return maker


def stop_in_epoch(epoch: int, error: type[BaseException]) -> Callable[[TrainingProgress], None]:
    """A listener that ends a training in the first step of an epoch."""

    def listener(progress: TrainingProgress) -> None:
        if progress.epoch == epoch and not progress.is_epoch_end:
            raise error

    return listener


@pytest.fixture
def data(tmp_path: Path) -> DataSplits:
    return small_splits(tmp_path)


def test_a_training_tells_config_epochs_and_test_scores(tmp_path: Path) -> None:
    made: list[Recorder] = []
    data = DataSplits.of(pictures(tmp_path / "images", {"train": 13, "val": 5, "test": 60}))
    run = Run(tmp_path / "run")
    result = train(MOBILENET, recipe(), data, run, TrainingDevices(), loggers={"recorder": recorder(made)})
    (log,) = made
    assert log.run == LoggedRun(folder=run.folder, name="mobilenet, manifest, seed 7", epochs=0)
    (params,) = log.params
    assert params["recipe.epochs"] == 2 and params["variant.backbone"] == "mobilenet" and params["data"] == "manifest"
    assert [step for step, _ in log.metrics] == [1, 2, 2] and log.ends == ["success"]
    rows = run.epochs()
    for (_, told), row in zip(log.metrics, rows, strict=False):
        assert told["loss"] == row.loss and told["val/auc"] == row.val["auc"]
        assert told["images_per_s"] == row.images_per_s
    assert [told["learning_rate"] for _, told in log.metrics[:2]] == [1e-3, 5e-4]
    auc, video = result.scores["frame"]["auc"], result.scores["video"]["auc"]
    assert auc is not None and video is not None
    tested = log.metrics[2][1]
    assert (tested["test/auc"], tested["test/auc_low"]) == (auc.estimate, auc.low)
    assert tested["test/video_auc"] == video.estimate
    train(MOBILENET, recipe(), data, run, TrainingDevices(), resume=True, loggers={"recorder": recorder(made)})
    assert len(made) == 1  # a finished run is not logged again


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "aborted"), (MemoryError, "failed")])
def test_a_resumed_training_goes_on_with_its_log(
    data: DataSplits, tmp_path: Path, error: type[BaseException], status: str
) -> None:
    made: list[Recorder] = []
    run, makers = Run(tmp_path / "run"), {"recorder": recorder(made)}
    with pytest.raises(error):
        stop = stop_in_epoch(2, error)
        train(MOBILENET, recipe(), data, run, TrainingDevices(), listener=stop, loggers=makers)
    made[0].run.keep_id("service", "abc")
    made[0].run.keep_id("other", "def")
    train(MOBILENET, recipe(), data, run, TrainingDevices(), resume=True, loggers=makers)
    first, second = made
    assert first.ends == [status] and [step for step, _ in first.metrics] == [1]
    assert second.run.epochs == 1 and [step for step, _ in second.metrics] == [2, 2]
    assert (second.run.id_of("service"), second.run.id_of("other"), second.run.id_of("none")) == ("abc", "def", None)


@pytest.mark.parametrize("call", ["begin", "log_hyperparams", "log_metrics", "finalize"])
def test_a_failing_logger_is_said_once_and_left_out(
    data: DataSplits, tmp_path: Path, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Recorder] = []
    makers = {"bad": recorder([], fails_at=call), "good": recorder(made)}
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(), data, run, TrainingDevices(), loggers=makers)
    assert run.is_finished and len(made[0].metrics) == 3 and made[0].ends == ["success"]
    (message,) = (record.getMessage() for record in caplog.records if record.name == "sfic_bench")
    assert "the logger bad failed" in message and f"ConnectionError: no network in {call}" in message


def test_a_plugin_adds_loggers(data: DataSplits, tmp_path: Path) -> None:
    call = ("train", "--backbone", "mobilenet", "--data", write_splits(data), "--epochs", "1", "--input-size", SIZE)
    run = tmp_path / "run"
    path = {"PYTHONPATH": os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH"))))}
    done = run_command_process(*map(str, call), "-o", run, "--logger", "lines,unplugged", **path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run / "lines.jsonl").read_text().splitlines()]
    assert lines[0]["recipe.epochs"] == 1 and lines[1]["loss"] > 0 and "test/auc" in lines[2]
    assert not (run / "events").exists()
    (said,) = (line for line in done.stderr.splitlines() if "unplugged" in line)
    assert said.startswith("sfic-bench: the logger unplugged failed and is left out from now on: OSError: no line")


def test_names_of_loggers(monkeypatch: pytest.MonkeyPatch, data: DataSplits, tmp_path: Path) -> None:
    assert list(loggers.loggers_of()) == ["tensorboard"] and loggers.loggers_of(["none"]) == {}
    with pytest.raises(UnknownName, match="unknown logger 'wandbs'; did you mean 'wandb'"):
        loggers.loggers_of(["tensorboard", "wandbs"])
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert loggers.loggers_of() == {}
    with pytest.raises(MissingDependency, match=re.escape(f"needs mlflow: {install_command('mlflow')}")):
        loggers.loggers_of(["mlflow"])
    status, _, err = run_command("train", "--data", write_splits(data), "-o", tmp_path / "run", "--logger", "wandb")
    assert status == 2 and "the logger wandb needs wandb" in err and not (tmp_path / "run").exists()


def test_events_of_a_resumed_training_have_each_epoch_once(data: DataSplits, tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        stop = stop_in_epoch(3, KeyboardInterrupt)
        train(MOBILENET, recipe(epochs=3), data, run, TrainingDevices(), listener=stop)
    train(MOBILENET, recipe(epochs=3), data, run, TrainingDevices(), resume=True)
    events = event_accumulator.EventAccumulator(str(run.folder / "events")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [
        (row.epoch, pytest.approx(row.loss)) for row in run.epochs()
    ]
    assert len(events.Scalars("test/auc")) == 1
    (text,) = events.Tensors("config/text_summary")
    assert b"| recipe.epochs | 3 |" in text.tensor_proto.string_val[0]


@pytest.mark.filterwarnings("ignore")  # of MLflow about its own use of sqlalchemy
def test_mlflow_goes_on_with_the_same_run(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "faces")
    run, makers = Run(tmp_path / "run"), loggers.loggers_of(["mlflow"])
    with pytest.raises(KeyboardInterrupt):
        stop = stop_in_epoch(2, KeyboardInterrupt)
        train(MOBILENET, recipe(), data, run, TrainingDevices(), listener=stop, loggers=makers)
    client = mlflow.MlflowClient()
    faces = client.get_experiment_by_name("faces").experiment_id
    (logged,) = client.search_runs([faces])
    assert logged.info.status == "KILLED" and logged.info.run_name == "mobilenet, manifest, seed 7"
    train(MOBILENET, recipe(), data, run, TrainingDevices(), resume=True, loggers=makers)
    (logged,) = client.search_runs([faces])
    assert logged.info.status == "FINISHED" and logged.data.params["recipe.epochs"] == "2"
    history = client.get_metric_history(logged.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(row.epoch, row.loss) for row in run.epochs()]
    assert "test/video_auc" in logged.data.metrics
    # A run that was deleted is logged anew.
    other = Run(tmp_path / "other")
    other.folder.mkdir()
    LoggedRun(folder=other.folder, name="").keep_id("mlflow", "0" * 32)
    train(MOBILENET, recipe(epochs=1), data, other, TrainingDevices(), loggers=makers)
    assert len(client.search_runs([faces])) == 2
    assert not [record for record in caplog.records if record.name == "sfic_bench"]


@pytest.mark.filterwarnings("ignore")  # of wandb about its own requirements
def test_wandb_goes_on_with_the_same_run(
    data: DataSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run, makers = Run(tmp_path / "run"), loggers.loggers_of(["wandb"])
    with pytest.raises(KeyboardInterrupt):
        stop = stop_in_epoch(2, KeyboardInterrupt)
        train(MOBILENET, recipe(), data, run, TrainingDevices(), listener=stop, loggers=makers)
    train(MOBILENET, recipe(), data, run, TrainingDevices(), resume=True, loggers=makers)
    name = LoggedRun(folder=run.folder, name="").id_of("wandb")
    files = sorted((run.folder / "wandb").glob(f"offline-run-*/run-{name}.wandb"))
    contents = [path.read_bytes() for path in files]
    assert len(contents) == 2 and all(b"val/auc" in content for content in contents)
    assert [b"test/video_auc" in content for content in contents] == [False, True]
    assert not [record for record in caplog.records if record.name == "sfic_bench"]
