"""The folder of a run. Every file is either complete or absent, and a run that was killed can be resumed.

- ``config.json`` has network, recipe and data, and ``environment.json`` the machine and its software;
- ``metrics.jsonl`` has a line for each epoch;
- ``checkpoint.safetensors`` has the state of the training after the last finished epoch, until the run is finished;
- ``model.safetensors`` has the weights that are tested;
- ``predictions.parquet`` has a row for each tested image;
- ``predictions-val.parquet`` has a row for each validation image, by which thresholds are chosen;
- ``result.json`` has the scores. It is written last: a run that has it is finished;
- ``SHA256SUMS`` has a checksum of each of these files, which is checked whenever one of them is read;
- ``events/`` has files for TensorBoard, which sfic-bench never reads, and ``loggers.json`` the names by which other
  services know the run (`sfic_bench.training.logs`).
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from msgspec import DecodeError, json
from safetensors import SafetensorError
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, SficBenchError, first_line
from sfic_bench.files import UnwritableOutput, remove_unfinished
from sfic_bench.networks.weights import load
from sfic_bench.results.checksums import (
    SUMS,
    DamagedFile,
    add_checksums,
    check_files,
    has_checksums,
    read_with_checksum,
    settle,
    write_with_checksum,
)
from sfic_bench.results.environment import Environment
from sfic_bench.results.scores import EpochRow, Trained
from sfic_bench.results.upgrade import TrainedV1
from sfic_bench.results.write import to_json
from sfic_bench.training.checkpoint import Checkpoint, weights_from_bytes, weights_to_bytes
from sfic_bench.training.config import CHANGED, RunConfig, RunConfigV1, RunConfigV2


class UnusableRun(SficBenchError):
    """A run's folder that cannot be used, or not for this purpose."""


FILES = (
    "config.json", "environment.json", "metrics.jsonl", "checkpoint.safetensors", "model.safetensors",
    "predictions*.parquet", "result.json",
)  # fmt: skip
"""The files of a run that have checksums."""

VALIDATION = "predictions-val.parquet"
"""The file with the scores of the validation images, by which thresholds were chosen."""

Content = TypeVar("Content")


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
            UnusableRun: if the folder holds a run and ``resume`` is false, or if it holds another run, or a damaged
                file; the message names what differs.
            UnwritableOutput: if the folder cannot be made.
        """
        if (self.folder / "config.json").exists():
            differences = config.differences_from(self.config())
            if not self.has_checkpoint and not self.is_finished:
                # Nothing has been trained yet, so that images which have been mended since are as good as any.
                differences = {key: words for key, words in differences.items() if key not in CHANGED}
            if differences:
                words = "; ".join(differences.values())
                raise UnusableRun(f"{self.folder} holds another run: {words}; choose another folder")
            if not resume:
                hint = "add --resume to continue it, or choose another folder"
                raise UnusableRun(f"{self.folder} holds this run already: {hint}")
            self.check()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make {self.folder}: {error.strerror or error}") from None
        remove_unfinished(self.folder)
        if not has_checksums(self.folder):
            add_checksums(self.folder, FILES)
        if not self.is_finished:
            self._write("config.json", to_json(config).encode())
            self._write("environment.json", to_json(environment).encode())

    def check(self) -> None:
        """Check that no file of the run is damaged.

        Raises:
            UnusableRun: for a damaged file, which it names.
        """
        try:
            check_files(self.folder, FILES)
        except (DamagedFile, OSError) as error:
            raise UnusableRun(str(error)) from None

    def config(self) -> RunConfig:
        """Network, recipe and data of the run, whichever version began it."""
        decoder: json.Decoder[RunConfig | RunConfigV2 | RunConfigV1] = json.Decoder(
            RunConfig | RunConfigV2 | RunConfigV1
        )
        config = self._decode("config.json", decoder.decode)
        if isinstance(config, RunConfigV1):
            return config.upgraded()
        if not has_checksums(self.folder):
            raise UnusableRun(
                f"{self.folder} has no {SUMS}, without which damage would not be seen; restore it from a copy"
            )
        return config.upgraded() if isinstance(config, RunConfigV2) else config

    def result(self) -> Trained:
        """The scores of a finished run, whichever version wrote them."""
        try:
            return self._decode("result.json", json.Decoder(Trained).decode)
        except UnusableRun:
            return self._decode("result.json", json.Decoder(TrainedV1).decode).upgraded()

    def finish(self, result: Trained) -> None:
        """Keep the result, with which the run is finished; its checkpoint, which is large, is needed no more."""
        self._write("result.json", to_json(result).encode())
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)
        settle(self.folder)

    def epochs(self) -> list[EpochRow]:
        """The metrics of each finished epoch."""
        if not (self.folder / "metrics.jsonl").exists():
            return []
        return self._decode("metrics.jsonl", json.Decoder(EpochRow).decode_lines)

    def save_epochs(self, epochs: Sequence[EpochRow]) -> None:
        """Keep the metrics of each finished epoch."""
        self._write("metrics.jsonl", json.Encoder().encode_lines(epochs))

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the state of a training in one file."""
        self._write("checkpoint.safetensors", checkpoint.to_bytes())

    def checkpoint(self, epochs: int) -> Checkpoint:
        """What `save_checkpoint` kept; it is of one of ``epochs`` epochs."""
        name = "checkpoint.safetensors"
        checkpoint = self._decode(name, Checkpoint.from_bytes)
        if not 1 <= checkpoint.epoch <= epochs:
            raise UnusableRun(f"{self.folder / name} is of epoch {checkpoint.epoch}; expected 1 to {epochs}")
        return checkpoint

    def save_model(self, weights: Mapping[str, Tensor], epoch: int) -> None:
        """Keep the weights that are tested, which are those after ``epoch`` epochs."""
        self._write("model.safetensors", weights_to_bytes(weights, epoch))

    def weights(self) -> dict[str, Tensor]:
        """The weights that were tested."""
        return self._decode("model.safetensors", weights_from_bytes)[0]

    def load_model(self, model: nn.Module) -> None:
        """Load the weights that were tested into ``model``."""
        try:
            load(model, self.weights(), str(self.folder / "model.safetensors"))
        except InvalidValue as error:
            raise UnusableRun(str(error)) from None

    def save_predictions(self, predictions: pd.DataFrame, name: str = "predictions.parquet") -> None:
        """Keep the scores of tested or validation images."""
        self._write(name, predictions.to_parquet(index=False))

    def predictions(self, name: str = "predictions.parquet") -> pd.DataFrame:
        """The scored rows of a manifest, with a column ``score``."""
        return self._decode(name, _read_table)

    def _write(self, name: str, data: bytes) -> None:
        write_with_checksum(self.folder / name, data)

    def _decode(self, name: str, decoder: Callable[[bytes], Content]) -> Content:
        """What ``decoder`` makes of the undamaged content of a file."""
        path = self.folder / name
        try:
            return decoder(read_with_checksum(path))
        except FileNotFoundError:
            raise UnusableRun(f"{self.folder} has no {name}; expected the folder of a trained network") from None
        except DamagedFile as error:
            raise UnusableRun(str(error)) from None
        except (OSError, ValueError, DecodeError, SafetensorError, SficBenchError) as error:
            raise UnusableRun(f"cannot read {path}: {first_line(error)}") from None


def _read_table(data: bytes) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(data))
    except Exception as error:  # of a damaged file, pandas and pyarrow raise almost anything
        raise ValueError(first_line(error)) from error
