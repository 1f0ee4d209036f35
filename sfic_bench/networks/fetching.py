"""Published weights as files on this machine: from a cache if they are there, over the network otherwise.

Without a network the attempt ends after seconds, with one error that says which file to bring from elsewhere.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfic_bench.errors import SficBenchError, first_line
from sfic_bench.networks.external import library

PATIENCE_S = 10.0
"""How long a server is waited for that does not answer."""

FILES = ("model.safetensors", "pytorch_model.bin")
"""The files that may hold the weights in a repository of the Hugging Face hub, the preferred one first."""


class UnreachableWeights(SficBenchError):
    """Published weights that are neither on this machine nor can be fetched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where weights are published: a repository of the Hugging Face hub, or a file that anybody can download.

    Attributes:
        name: what the error calls the weights, such as ``resnet50.tv_in1k``.
        repository: such as ``timm/resnet50.tv_in1k``, with ``@revision`` if it is not the newest; ``None`` without one.
        files: the files to look for there; the first that exists is taken.
        url: the address of a file outside of the hub.
    """

    name: str
    repository: str | None = None
    files: tuple[str, ...] = FILES
    url: str = ""

    @property
    def address(self) -> str:
        """The address of the file, for a browser or ``curl``."""
        if self.repository is None:
            return self.url
        name, _, revision = self.repository.partition("@")
        return f"https://huggingface.co/{name}/resolve/{revision or 'main'}/{self.files[0]}"

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be fetched."""
        return f"download {self.address} on a machine with a network, and name the file: --init FILE"


def fetched(place: Place) -> Path:
    """The file with the weights, in the cache of the library that other programs would fetch it with.

    Raises:
        UnreachableWeights: with what could not be fetched, why, and what to do.
        MissingDependency: without the library that fetches files of the hub.
    """
    hub = None if place.repository is None else library("huggingface_hub", place.by_hand)
    try:
        return _from_url(place.url) if hub is None else _from_hub(hub, place)
    except Exception as error:  # clients of the hub, sockets and TLS raise almost anything
        of = "" if place.repository is None else f" ({place.files[0]} of {place.repository} on huggingface.co)"
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UnreachableWeights(f"cannot fetch the weights {place.name}{of}: {reason}; {place.by_hand}") from None


def _from_hub(hub: Any, place: Place) -> Path:
    name, _, revision = str(place.repository).partition("@")
    of_revision = {"revision": revision or None}
    for file in place.files:
        if isinstance(cached := hub.try_to_load_from_cache(name, file, **of_revision), str):
            return Path(cached)
    if hub.constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE forbids it, and it is not in the cache of huggingface_hub")
    for file in place.files:
        try:
            # Asked once: a download would ask six times for each file, with pauses, which takes most of a minute.
            hub.get_hf_file_metadata(hub.hf_hub_url(name, file, **of_revision), timeout=PATIENCE_S)
        except hub.utils.EntryNotFoundError:
            continue
        return Path(hub.hf_hub_download(name, file, **of_revision))
    raise FileNotFoundError(f"the repository has none of {', '.join(place.files)}")


def _from_url(url: str) -> Path:
    import torch

    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir(), "checkpoints", name)  # where torch.hub itself would keep it
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([0-9a-f]{8,})\.", name)  # the beginning of its SHA-256, which torch.hub checks
        with _patience():
            torch.hub.download_url_to_file(url, os.fspath(path), digest and digest[1], progress=False)
    return path


@contextmanager
def _patience() -> Iterator[None]:
    """Sockets give up after `PATIENCE_S`; torch.hub's own wait for ever."""
    default = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(default)
