"""A stand-in for huggingface_hub."""

from pathlib import Path
from types import ModuleType, SimpleNamespace


class FakeHub(ModuleType):
    """Stands for huggingface_hub: a repository with some files, a cache with some, and a network or none."""

    class EntryNotFoundError(Exception):
        """A file that the repository does not have."""

    def __init__(self, folder: Path) -> None:
        super().__init__("huggingface_hub")
        self.folder, self.in_cache, self.on_hub = folder, set[str](), set[str]()
        self.failure: Exception | None = None
        self.asked: list[str] = []
        self.constants = SimpleNamespace(HF_HUB_OFFLINE=False)
        self.utils = SimpleNamespace(EntryNotFoundError=self.EntryNotFoundError)

    def try_to_load_from_cache(self, repository: str, file: str, revision: str | None = None) -> str | None:
        return str(self.folder / file) if file in self.in_cache else None

    def hf_hub_url(self, repository: str, file: str, revision: str | None = None) -> str:
        return f"https://hub/{repository}/{revision or 'main'}/{file}"

    def get_hf_file_metadata(self, url: str, timeout: float) -> None:
        assert 0 < timeout <= 10
        self.asked.append(url)
        if self.failure is not None:
            raise self.failure
        if url.rpartition("/")[2] not in self.on_hub:
            raise self.EntryNotFoundError

    def hf_hub_download(self, repository: str, file: str, revision: str | None = None) -> str:
        if self.failure is not None:
            raise self.failure
        return str(self.folder / file)
