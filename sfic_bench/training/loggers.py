"""The loggers that can be named: TensorBoard, Weights & Biases, MLflow, and those of plug-ins.

Addresses, keys, projects and the like come from the services' own environment variables and files.
"""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from secrets import token_hex
from typing import TYPE_CHECKING

from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from sfic_bench.errors import MissingDependency, UnknownName
from sfic_bench.extras import install_command
from sfic_bench.plugins import WithPlugins
from sfic_bench.training.logs import LoggedRun, LoggerMaker

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROJECT = "sfic-bench"
"""The project of Weights & Biases and the experiment of MLflow, unless the environment names another."""

Settings = dict[str, object] | Namespace
"""What Fabric's interface takes for the settings of a training."""

STATUSES = {"success": "FINISHED", "failed": "FAILED", "aborted": "KILLED"}
"""MLflow's words for how a training ended, by Fabric's."""


class TensorBoardEvents(TensorBoardLogger):
    """Files for TensorBoard in the folder ``events`` of a run; a training that goes on discards later epochs."""

    def __init__(self, run: LoggedRun) -> None:
        super().__init__(run.folder, name="", version="events", purge_step=run.epochs + 1)
        self._is_new = not run.epochs

    def log_hyperparams(self, params: Settings, *_: object, **__: object) -> None:
        """Show the settings as a table of TensorBoard's page of texts."""
        if self._is_new:
            rows = "\n".join(f"| {name} | {value} |" for name, value in _dictionary(params).items())
            self.experiment.add_text("config", f"| | |\n| --- | --- |\n{rows}", 0)


class WandbRun(Logger):
    """A run of Weights & Biases, whose files lie in the run's folder unless ``WANDB_DIR`` names another."""

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        kept = run.id_of("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=os.environ.get("WANDB_NAME", run.name),
            id=kept or token_hex(4), resume="allow", dir=os.environ.get("WANDB_DIR", str(run.folder)),
            config={"folder": str(run.folder.absolute())},
            reinit="create_new",  # which leaves alone a run that the calling program may have begun
            settings=wandb.Settings(console="off"),
        )  # fmt: skip
        if kept is None:
            run.keep_id("wandb", self._run.id)

    @property
    def name(self) -> str | None:
        return str(self._run.project)

    @property
    def version(self) -> str:
        return str(self._run.id)

    def log_hyperparams(self, params: Settings, *_: object, **__: object) -> None:
        self._run.config.update(_dictionary(params), allow_val_change=True)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._run.log(metrics, step=step)

    def finalize(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "success" else 1)


class MlflowRun(Logger):
    """A run of MLflow's tracking, in the experiment that ``MLFLOW_EXPERIMENT_NAME`` names."""

    def __init__(self, run: LoggedRun) -> None:
        from mlflow import MlflowClient

        self._client, self._experiment = MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        kept = run.id_of("mlflow")
        if kept is not None and _is_there(self._client, kept):
            self._id = kept
            self._client.update_run(kept, status="RUNNING")
            return
        experiment = _experiment(self._client, self._experiment)
        tags = {"mlflow.source.name": PROJECT, "folder": str(run.folder.absolute())}
        self._id = str(self._client.create_run(experiment, tags=tags, run_name=run.name).info.run_id)
        run.keep_id("mlflow", self._id)

    @property
    def name(self) -> str:
        return self._experiment

    @property
    def version(self) -> str:
        return self._id

    def log_hyperparams(self, params: Settings, *_: object, **__: object) -> None:
        from mlflow.entities import Param

        there = self._client.get_run(self._id).data.params  # a parameter cannot be changed
        new = [Param(name, str(value)) for name, value in _dictionary(params).items() if name not in there]
        self._client.log_batch(self._id, params=new)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._id, name, value, step=step)

    def finalize(self, status: str) -> None:
        self._client.set_terminated(self._id, STATUSES[status])


def _is_there(client: "MlflowClient", run_id: str) -> bool:
    from mlflow import MlflowException

    try:
        return str(client.get_run(run_id).info.lifecycle_stage) == "active"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def _experiment(client: "MlflowClient", name: str) -> str:
    """The experiment of this name, which is made if it is missing."""
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another training has made it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _dictionary(params: Settings) -> dict[str, object]:
    return vars(params) if isinstance(params, Namespace) else params


_OWN: Mapping[str, LoggerMaker] = {"tensorboard": TensorBoardEvents, "wandb": WandbRun, "mlflow": MlflowRun}

LOGGERS: Mapping[str, LoggerMaker] = WithPlugins(_OWN, "loggers")
"""What makes the logger of a run, by the name on the command line, with those of plug-ins."""

EXTRAS = {"tensorboard": "train", "wandb": "wandb", "mlflow": "mlflow"}
"""For each package of a logger of ours, which has the logger's name, the extra that brings it."""


def loggers_of(names: Sequence[str] | None = None) -> dict[str, LoggerMaker]:
    """The makers of the loggers of these names; without names that of TensorBoard, if TensorBoard is installed.

    The name ``none`` stands for no logger.

    Raises:
        UnknownName: for a name that no logger has.
        MissingDependency: for a logger whose package is not installed.
        FailedPlugin: for a plug-in that cannot be imported.
    """
    if names is None:
        names = ["tensorboard"] if find_spec("tensorboard") else []
    names = [name for name in names if name != "none"]
    for name in names:
        if name not in LOGGERS:
            raise UnknownName("logger", name, LOGGERS)
        if name in EXTRAS and find_spec(name) is None:
            raise MissingDependency(f"the logger {name} needs {name}: {install_command(EXTRAS[name])}")
    return {name: LOGGERS[name] for name in names}
