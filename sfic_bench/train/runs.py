"""A run's folder: everything is either complete or not there, and a run that was killed goes on from its last epoch.

``config.json`` what was asked for · ``environment.json`` on what · ``metrics.jsonl`` one line an epoch ·
``checkpoint.safetensors`` after the last epoch, optimiser included · ``model.safetensors`` when training is over ·
``predictions.parquet`` one row a tested image · ``result.json`` its scores, written last: a run that has it is finished ·
``events/`` for TensorBoard.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, SficBenchError
from sfic_bench.report.files import (
    UnwritableOutput,
    remove_unfinished,
    write_atomically,
    write_bytes_atomically,
)
from sfic_bench.state import load

SCHEMA = "sfic-bench/run/1"


class UnusableRun(SficBenchError):
    """A run's folder that cannot be used as asked."""


@dataclass(frozen=True, slots=True)
class Run:
    """A folder, which need not exist."""

    folder: Path

    @property
    def is_finished(self) -> bool:
        return (self.folder / "result.json").is_file()

    @property
    def has_checkpoint(self) -> bool:
        return (self.folder / "checkpoint.safetensors").is_file()

    def begin(self, config: Mapping[str, Any], environment: Mapping[str, Any], *, resume: bool) -> None:
        """Make the folder, or see that it holds the beginning of the same run.

        Raises:
            UnusableRun: if there is a run already and ``resume`` is not given, or it is another one; names the keys.
            UnwritableOutput: if the folder cannot be made.
        """
        path = self.folder / "config.json"
        config = {"schema": SCHEMA, **json.loads(json.dumps(config))}
        if path.exists():
            found = self.config()
            differ = [k for k in sorted({*found, *config}) if found.get(k) != config.get(k)]
            if differ:
                each = "; ".join(f"{k} was {found.get(k)!r} and is {config.get(k)!r}" for k in differ)
                raise UnusableRun(f"{self.folder} holds another run: {each}; choose another folder")
            if not resume:
                raise UnusableRun(
                    f"{self.folder} holds this run already: add --resume to go on, or choose another folder"
                )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make {self.folder}: {error.strerror or error}") from None
        remove_unfinished(self.folder)
        self._write("config.json", config)
        self._write("environment.json", environment)

    def config(self) -> dict[str, Any]:
        """What the run was asked for.

        Raises:
            UnusableRun: if the folder holds no run.
        """
        return self._read("config.json")

    def result(self) -> dict[str, Any]:
        """The scores of a finished run.

        Raises:
            UnusableRun: if it is not finished.
        """
        return self._read("result.json")

    def finish(self, result: Mapping[str, Any]) -> None:
        self._write("result.json", result)

    def epochs(self) -> list[dict[str, Any]]:
        """Metrics of each epoch so far."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def save_epochs(self, epochs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in epochs)
        write_atomically(self.folder / "metrics.jsonl", text)

    def save_checkpoint(self, model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
        """After ``epoch`` epochs: weights, buffers and what the optimiser has learnt, in one file."""
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        for number, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in state.items()}
        self._save("checkpoint.safetensors", tensors, epoch)

    def load_checkpoint(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Give both what `save_checkpoint` kept; the number of epochs that are done.

        Raises:
            UnusableRun: for a file that is broken or another network's.
        """
        tensors, epoch = self._tensors("checkpoint.safetensors")
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        try:
            load(model, weights, str(self.folder / "checkpoint.safetensors"))
        except InvalidValue as error:
            raise UnusableRun(str(error)) from None
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".", 2)
                states.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        for (
            parameter,
            state,
        ) in optimiser.state.items():  # in the parameter's memory format, or steps are slow
            for key, tensor in state.items():
                if tensor.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter).copy_(tensor)
        return epoch

    def save_model(self, model: nn.Module, epoch: int) -> None:
        self._save("model.safetensors", model.state_dict(), epoch)

    def load_model(self, model: nn.Module) -> None:
        """Give ``model`` the weights after training.

        Raises:
            UnusableRun: if there are none yet, or another network's.
        """
        tensors, _ = self._tensors("model.safetensors")
        try:
            load(model, tensors, str(self.folder / "model.safetensors"))
        except InvalidValue as error:
            raise UnusableRun(str(error)) from None

    def save_predictions(self, predictions: pd.DataFrame, name: str = "predictions.parquet") -> None:
        write_bytes_atomically(self.folder / name, predictions.to_parquet(index=False))

    def predictions(self, name: str = "predictions.parquet") -> pd.DataFrame:
        """Rows of the manifest that was tested, with a column ``score``."""
        try:
            return pd.read_parquet(self.folder / name)
        except (OSError, ValueError) as error:
            raise UnusableRun(f"cannot read {self.folder / name}: {error}") from None

    def _save(self, name: str, tensors: Mapping[str, Tensor], epoch: int) -> None:
        data = save(
            {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, {"epoch": str(epoch)}
        )
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

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        write_atomically(self.folder / name, json.dumps(document, indent=1, allow_nan=False) + "\n")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UnusableRun(
                f"{self.folder} has no {name} ({error.strerror or error}); expected a run's folder"
            ) from None
        except ValueError as error:
            raise UnusableRun(f"cannot read {path}: {error}") from None
        if not isinstance(found, dict):
            raise UnusableRun(f"{path} holds no object")
        return found
