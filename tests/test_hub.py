"""Trained detectors in the form of the Hugging Face Hub, and the command ``publish``."""

import json
import sys
from pathlib import Path

import pytest
import torch
from helpers.command import run_command
from helpers.training import SIZE, small_splits, write_splits

from sfic_bench.errors import InvalidValue
from sfic_bench.extras import install_command
from sfic_bench.training.inference import TrainedNetwork, load_input
from sfic_bench.training.runs import Run, UnusableRun

pytest.importorskip("huggingface_hub")
from sfic_bench.hub import HubDetector  # needs the package


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a run of an SFIC network on them."""
    place = tmp_path_factory.mktemp("hub")
    manifest = write_splits(small_splits(place))
    options = ("--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5", "--epochs", "1", "--input-size", str(SIZE))
    status, _, err = run_command("train", *options, "--data", manifest, "-o", place / "run")
    assert status == 0, err
    return place


def test_a_published_run_gives_the_runs_probabilities(folder: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    status, _, err = run_command("publish", folder / "run", "-o", published, "--license", "cc-by-nc-4.0")
    assert status == 0 and f"wrote {published}" in err
    assert {path.name for path in published.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    detector = HubDetector.from_pretrained(published)
    assert not detector.training and str(detector.variant) == "mobilenet α=0.5 β=0.5"
    paths = sorted(folder.rglob("*.png"))[:5]
    images = torch.stack([load_input(path, SIZE) for path in paths])
    expected = TrainedNetwork(Run(folder / "run")).probabilities(images)
    with torch.no_grad():
        logits = detector(images / 255)
        torch.testing.assert_close(logits.double().softmax(1)[:, 1], expected, rtol=1e-4, atol=1e-5)
        again = tmp_path / "again"
        detector.save_pretrained(again, model_card_kwargs={"license": "cc-by-nc-4.0"})
        assert torch.equal(HubDetector.from_pretrained(again)(images / 255), logits)
    assert (again / "README.md").read_text() == (published / "README.md").read_text()


def test_the_card_says_what_is_known(folder: Path, tmp_path: Path) -> None:
    detector, result = HubDetector.from_run(folder / "run"), Run(folder / "run").result()
    card = str(detector.generate_model_card(license="mit"))
    auc = result.scores["frame"]["auc"]
    assert auc is not None and f"| AUC | {100 * auc.estimate:.2f} | " in card
    for words in ("license: mit", "model-index:", "# mobilenet α=0.5 β=0.5", "1 epoch, 32×32", "| mobilenet | 3.21 |"):
        assert words in card, words
    plain = HubDetector("resnet26", input_size=64)
    plain.save_pretrained(tmp_path / "plain")
    text = (tmp_path / "plain" / "README.md").read_text()
    assert "How these weights were made is not recorded" in text and "No licence of the weights is stated" in text
    assert "model-index" not in text and "space-frequency" not in text
    assert json.loads((tmp_path / "plain" / "config.json").read_text())["backbone"] == "resnet26"


def test_code_is_not_published(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="is a file of code"):
        HubDetector("mine.py:network")
    with pytest.raises(UnusableRun):
        HubDetector.from_run(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    status, _, err = run_command("publish", folder / "run", "-o", tmp_path / "there")
    assert status == 2 and "is there already: choose another folder" in err


def test_an_upload_that_fails_keeps_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = []

    class Hub:
        def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
            if name == "a/closed":
                raise ConnectionError("no route\nto the Hub")
            uploads.append((name, private, exist_ok))

        def upload_folder(self, *, repo_id: str, folder_path: Path) -> str:
            assert (folder_path / "model.safetensors").is_file()
            return f"https://hub/{repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    run = folder / "run"
    status, _, err = run_command("publish", run, "-o", tmp_path / "one", "--push", "a/b", "--private")
    assert status == 0 and "uploaded to https://hub/a/b" in err and uploads == [("a/b", True, True)]
    status, _, err = run_command("publish", run, "-o", tmp_path / "two", "--push", "a/closed")
    assert status == 2 and f"cannot upload to a/closed: no route; {tmp_path / 'two'} is kept" in err
    assert (tmp_path / "two" / "README.md").is_file()


def test_without_the_package_the_message_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("sfic_bench.hub")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    status, _, err = run_command("publish", folder / "run", "-o", tmp_path / "x")
    assert status == 2 and install_command("train", "hub") in err
