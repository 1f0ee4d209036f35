"""What the processes of one training report to whoever started them: JSON lines, one file a process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct, json


class Rate(Struct, frozen=True, kw_only=True, tag="rate"):
    """How fast the training is."""

    images_per_s: float


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The training cannot be done, for a reason that the user can mend."""

    reason: str


class OutOfMemory(Struct, frozen=True, kw_only=True, tag="out of memory"):
    """The process had too little memory."""

    reason: str


Message = Rate | Failed | OutOfMemory


@dataclass(slots=True)
class Reports:
    """A folder of files of JSON lines, read from where the last reading ended."""

    folder: Path
    read_to: dict[Path, int] = field(default_factory=dict)

    def write(self, message: Message) -> None:
        """Add one line to this process's file; a line is short enough to be written at once."""
        with (self.folder / f"{os.getpid()}.jsonl").open("ab") as file:
            file.write(json.encode(message) + b"\n")

    def new(self) -> Iterator[Message]:
        """Whole lines that were not read before."""
        for path in sorted(self.folder.glob("*.jsonl")):
            data = path.read_bytes()[self.read_to.get(path, 0) :]
            whole = data[: data.rfind(b"\n") + 1]
            self.read_to[path] = self.read_to.get(path, 0) + len(whole)
            for line in whole.splitlines():
                yield json.decode(line, type=Message)
