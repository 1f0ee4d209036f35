"""The folder of a run. Every file is either complete or absent, and a run that was killed can be resumed.

- ``config.json`` has network, recipe and data, and ``environment.json`` the machine and its software;
- ``metrics.jsonl`` has a line for each epoch;
- ``checkpoint.safetensors`` has the state of network and optimiser after the last finished epoch;
- ``model.safetensors`` has the weights after training;
- ``predictions.parquet`` has a row for each tested image;
- ``result.json`` has the scores. It is written last: a run that has it is finished;
- ``events/`` has files for TensorBoard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from msgspec import DecodeError, Struct, json, to_builtins
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.networks.variant import Variant
from sfic_bench.networks.weights import load
from sfic_bench.results.environment import Environment
from sfic_bench.results.files import UnwritableOutput, remove_unfinished, write_bytes_atomically
from sfic_bench.results.scores import EpochRow, Trained
from sfic_bench.results.upgrade import TrainedV1
from sfic_bench.results.write import write_result
from sfic_bench.train.recipe import Recipe


class UnusableRun(SficBenchError):
    """A run's folder that cannot be used, or not for this purpose."""


class RunConfig(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/run/1"):
    """Network, recipe and data of a run.

    Attributes:
        data: the manifest's name.
        images: number of images of each split.
    """

    variant: Variant
    recipe: Recipe
    data: str
    images: dict[str, int]


Document = TypeVar("Document")


@dataclass(frozen=True, slots=True)
class Run:
    """A run, given by its folder, which need not exist.

    Every method that reads raises `UnusableRun` for a file that is missing, broken, or of another network.
    """

    folder: Path

    @property
    def is_finished(self) -> bool:
        return (self.folder / "result.json").is_file()

    @property
    def has_checkpoint(self) -> bool:
        return (self.folder / "checkpoint.safetensors").is_file()

    def begin(self, config: RunConfig, environment: Environment, *, resume: bool) -> None:
        """Create the folder, or check that it holds the beginning of the same run.

        Raises:
            UnusableRun: if the folder holds a run and ``resume`` is false, or if it holds another run; the message
                names the keys that differ.
            UnwritableOutput: if the folder cannot be made.
        """
        path = self.folder / "config.json"
        if path.exists():
            old, new = self._read("config.json", dict[str, object]), to_builtins(config)
            differing = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            if differing:
                values = "; ".join(f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in differing)
                raise UnusableRun(f"{self.folder} holds another run: {values}; choose another folder")
            if not resume:
                hint = "add --resume to continue it, or choose another folder"
                raise UnusableRun(f"{self.folder} holds this run already: {hint}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make {self.folder}: {error.strerror or error}") from None
        remove_unfinished(self.folder)
        write_result(path, config)
        write_result(self.folder / "environment.json", environment)

    def config(self) -> RunConfig:
        """The network, recipe and data of the run."""
        return self._read("config.json", RunConfig)

    def result(self) -> Trained:
        """The scores of a finished run, whichever version wrote them."""
        try:
            return self._read("result.json", Trained)
        except UnusableRun:
            return self._read("result.json", TrainedV1).upgraded()

    def finish(self, result: Trained) -> None:
        """Keep the result, with which the run is finished."""
        write_result(self.folder / "result.json", result)

    def epochs(self) -> list[EpochRow]:
        """The metrics of each finished epoch."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        return json.Decoder(EpochRow).decode_lines(path.read_bytes())

    def save_epochs(self, epochs: Sequence[EpochRow]) -> None:
        """Keep the metrics of each finished epoch."""
        write_bytes_atomically(self.folder / "metrics.jsonl", json.Encoder().encode_lines(epochs))

    def save_events(self, epoch: EpochRow) -> None:
        """Add the metrics of an epoch to the event files, if TensorBoard is installed; later epochs are discarded."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        values = {
            "loss": epoch.loss, "images_per_s": epoch.images_per_s, "loader_images_per_s": epoch.loader_images_per_s,
            **{f"val/{name}": value for name, value in epoch.val.items()},
        }  # fmt: skip
        writer = SummaryWriter(str(self.folder / "events"), purge_step=epoch.epoch)
        for name, value in values.items():
            if value is not None:
                writer.add_scalar(name, value, epoch.epoch)
        writer.close()

    def save_checkpoint(self, model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
        """Keep weights, buffers and the optimiser's state after ``epoch`` epochs in one file."""
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        for number, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in state.items()}
        self._save("checkpoint.safetensors", tensors, epoch)

    def load_checkpoint(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Load what `save_checkpoint` kept into both; returns the number of finished epochs."""
        tensors, epoch = self._tensors("checkpoint.safetensors")
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        self._load(model, weights, "checkpoint.safetensors")
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".", 2)
                states.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        for parameter, state in optimiser.state.items():
            for key, tensor in state.items():
                # Steps are slow unless the state has the memory format of the parameter.
                if tensor.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter).copy_(tensor)
        return epoch

    def save_model(self, model: nn.Module, epoch: int) -> None:
        """Keep the weights after training, which took ``epoch`` epochs."""
        self._save("model.safetensors", model.state_dict(), epoch)

    def load_model(self, model: nn.Module) -> None:
        """Load the weights after training into ``model``."""
        self._load(model, self._tensors("model.safetensors")[0], "model.safetensors")

    def save_predictions(self, predictions: pd.DataFrame, name: str = "predictions.parquet") -> None:
        """Keep the scores of tested images."""
        write_bytes_atomically(self.folder / name, predictions.to_parquet(index=False))

    def predictions(self, name: str = "predictions.parquet") -> pd.DataFrame:
        """The tested rows of a manifest, with a column ``score``."""
        try:
            return pd.read_parquet(self.folder / name)
        except (OSError, ValueError) as error:
            raise UnusableRun(f"cannot read {self.folder / name}: {error}") from None

    def _save(self, name: str, tensors: Mapping[str, Tensor], epoch: int) -> None:
        data = save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, {"epoch": str(epoch)})
        write_bytes_atomically(self.folder / name, data)

    def _tensors(self, name: str) -> tuple[dict[str, Tensor], int]:
        path = self.folder / name
        try:
            with safe_open(path, "pt") as file:
                names = file.keys()
                return {k: file.get_tensor(k) for k in names}, int((file.metadata() or {})["epoch"])
        except FileNotFoundError:
            raise UnusableRun(f"{self.folder} has no {name}: train first, with `sfic-bench train`") from None
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise UnusableRun(f"cannot read {path}: {error}") from None

    def _load(self, model: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
        try:
            load(model, weights, str(self.folder / name))
        except InvalidValue as error:
            raise UnusableRun(str(error)) from None

    def _read(self, name: str, type: type[Document]) -> Document:
        path = self.folder / name
        try:
            return json.decode(path.read_bytes(), type=type)
        except OSError as error:
            reason = error.strerror or error
            raise UnusableRun(f"{self.folder} has no {name} ({reason}); expected a run's folder") from None
        except (DecodeError, UnicodeDecodeError, SficBenchError) as error:
            raise UnusableRun(f"cannot read {path}: {error}") from None
