"""The command that installs an extra works for however sfic-bench was installed."""

import json
import os
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from sfic_bench import extras
from sfic_bench.extras import install_command

ROOT = Path(__file__).parent.parent
WHEEL = "https://example.org/sfic_bench-0.2.0-py3-none-any.whl"


class Installed(metadata.Distribution):
    """A distribution with some requirements, installed from ``url``, or from an index if there is none."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url

    def read_text(self, filename: str) -> str | None:
        if filename == "direct_url.json":
            return json.dumps({"url": self.url}) if self.url else None
        lines = (
            "Metadata-Version: 2.4",
            "Name: sfic-bench",
            "Requires-Dist: torch>=2.6",
            "Requires-Dist: av>=14; extra == 'faces'",
            'Requires-Dist: ray[client]>=2.40; extra == "ray"',
            "Requires-Dist: pillow>=10.3; extra == 'faces'",
            "Requires-Dist: pillow>=10.3; extra == 'train'",
            "Requires-Dist: triton>=3.2; (platform_system == 'Linux') and extra == 'kernels'",
        )
        return "\n".join(lines) if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        raise NotImplementedError


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package lies in a folder of installed packages, and no metadata is known."""

    def unknown(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "SOURCE", tmp_path / "site-packages")
    monkeypatch.setattr(metadata, "distribution", unknown)
    return tmp_path


def test_in_a_checkout_it_is_the_command_of_the_readme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert install_command("train", "hub") == "pip install -c constraints.txt -e '.[train,hub]'"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(install_command("gpu"))[2:] == ["-c", f"{ROOT}/constraints.txt", "-e", f"{ROOT}[gpu]"]


def test_installed_from_a_folder_that_is_there(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = alone / "my folder"
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(folder.as_uri()))
    assert install_command("faces") == "pip install 'av>=14' 'pillow>=10.3'"  # the folder is gone
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "sfic-bench"\n')
    assert shlex.split(install_command("faces")) == ["pip", "install", f"{folder}[faces]"]
    (folder / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert install_command("faces") == "pip install 'av>=14' 'pillow>=10.3'"


@pytest.mark.parametrize("url", [None, WHEEL, "file:///tmp/sfic_bench-0.2.0-py3-none-any.whl"])
def test_installed_from_a_wheel_it_names_the_packages(
    url: str | None, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(url))
    assert install_command("ray") == "pip install 'ray[client]>=2.40'"
    assert install_command("train", "faces") == "pip install 'pillow>=10.3' 'av>=14'"
    assert install_command("kernels") == """pip install 'triton>=3.2; (platform_system == "Linux")'"""


def test_without_metadata_it_names_the_extra(alone: Path) -> None:
    assert install_command("train") == "pip install 'sfic-bench[train]'"


def test_no_message_spells_the_command_by_itself() -> None:
    package = ROOT / "sfic_bench"
    own = [path.name for path in package.rglob("*.py") if re.search(r"sfic-bench\[\w", path.read_text("utf-8"))]
    assert own == ["extras.py"]
