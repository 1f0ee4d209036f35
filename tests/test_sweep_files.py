"""Sweep files: the jobs that they ask for, and the keys of those."""

from pathlib import Path

import pytest
from helpers.sweeps import COST, jobs_in
from helpers.training import pictures
from msgspec.structs import replace

from sfic_bench.data.manifest import write_manifest
from sfic_bench.sweep.jobs.job import Needs
from sfic_bench.sweep.spec import BadSweep


def test_a_block_is_the_product_of_its_axes(tmp_path: Path) -> None:
    found = jobs_in(
        tmp_path,
        '[[cost]]\nbackbone = "all"\n[[cost]]\nbackbone = "mobilenet"\nalpha = "none"\ninput_size = [64, 96]',
    )
    assert len(found) == 11 * 13 + 2
    assert [c.input_size for c in found[-2:]] == [64, 96] and found[-1].network.alpha is None


def test_a_timed_cell_is_one_network_beside_vanilla(tmp_path: Path) -> None:
    text = '[[latency]]\nbackbone = ["mobilenet", "xception"]\n{}batch_size = [1, 4]\npath = ["fused", "compiled"]'
    found = jobs_in(tmp_path, text.format("alpha = 0.5\nbeta = [0.5, 1]\n"))
    assert [(str(c.network), c.conditions.batch_size) for c in found[:3]] == [
        ("mobilenet α=0.5 β=0.5", 1), ("mobilenet α=0.5 β=0.5", 4), ("mobilenet α=0.5 β=1", 1)
    ]  # fmt: skip
    assert len(found) == 8 and all(c.needs.cpus is None and c.paths == ["fused", "compiled"] for c in found)
    assert len(jobs_in(tmp_path, text.format('alpha = "none"\n'))) == 4
    on_gpus = jobs_in(tmp_path, text.format('alpha = "none"\ndevice = "cuda"\naccelerator_type = ["A100", "H100"]\n'))
    assert [(c.needs.gpus, c.needs.accelerator_type) for c in on_gpus[:2]] == [(1, "A100"), (1, "H100")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[cost]]\nbacbone = "vgg13"', r"\[\[cost\]\] 1: unknown key 'bacbone'; did you mean 'backbone'"),
        ('[[costs]]\nbackbone = "vgg13"', "unknown block 'costs'; did you mean 'cost'"),
        ('[cost]\nbackbone = "vgg13"', r"write \[\[cost\]\], not \[cost\]"),
        ('[[cost]]\nbackbone = "vgg14"', r"\[\[cost\]\] 1: unknown backbone 'vgg14'; did you mean"),
        ('[[cost]]\nbackbone = "vgg13"\n[[cost]]\nbackbone = []', r"\[\[cost\]\] 2: backbone is an empty list"),
        ('[[cost]]\nbackbone = "vgg13"\nalpha = []', "alpha is an empty list"),
        ('[[cost]]\nalpha = 0.5', "missing required field `backbone`"),
        ('[[cost]]\nbackbone = "vgg13"\nclasses = "two"', "Expected `int | array`, got `str`"),
        ('[[cost]]\nbackbone = "vgg13"\nalpha = 2', r"\[\[cost\]\] 1: alpha must lie in \[0, 1\], got 2"),
        ('[[cost]]\nbackbone = ["vgg13", "vgg13"]', "names a value twice"),
        ('[[cost]]\nbackbone = "vgg13"\ninput_size = [64, 64]', "input_size lists 64 twice"),
        (COST + COST, r"\[\[cost\]\] 1 and .*\[\[cost\]\] 2: the cost of mobilenet, 256×256 is asked for twice"),
        ('[[cost]]\nbackbone = "vgg13"\ncpus = 0', "Expected `float` > 0"),
        ('[[latency]]\nbackbone = "vgg13"\npath = "fast"', "unknown execution path 'fast'"),
        ('[[latency]]\nbackbone = "vgg13"\ndevice = "cuda"\ngpus = 0.5', "shares no GPU"),
        ('[[latency]]\nbackbone = "vgg13"\ncpus = 1', "takes the whole node"),
        ('[[accuracy]]\nbackbone = "vgg13"\nlearning_rate = -1', r"\[\[accuracy\]\] 1: learning rate must lie"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndata = ["no.csv"]', "cannot read .*no.csv"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndevice = "cuda"\ndevices = 2\ngpus = 1', "devices = 2 asks for as many GPUs"),
        ("[[cost", "is no TOML"),
        ("", "asks for nothing"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_ask_for(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSweep, match=said):
        jobs_in(tmp_path, text)


def test_a_key_is_of_what_determines_a_result(tmp_path: Path) -> None:
    (found, *_) = jobs_in(tmp_path, COST)
    key = found.key("1", "2.13", "")
    assert key.startswith("cost-mobilenet-") and key == replace(found, block="elsewhere", needs=Needs(cpus=3)).key(
        "1", "2.13", ""
    )
    assert (
        key != found.key("2", "2.13", "") and key != found.key("1", "2.6", "") and key != found.key("1", "2.13", "A100")
    )
    net = "def net():\n    from torch import nn\n    return nn.Sequential(nn.Conv2d(3, {}, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    keys = []
    for folder, channels in (("a", 4), ("b", 4), ("c", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(net.format(channels))
        (job,) = jobs_in(tmp_path / folder, '[[cost]]\nbackbone = "net.py:net"\nalpha = "none"')
        keys.append(job.key("", "", ""))
    assert keys[0] == keys[1] != keys[2]  # by what is in the file, wherever it lies


def test_a_key_of_a_training_follows_its_manifest(tmp_path: Path) -> None:
    keys = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name / "images").mkdir(parents=True)
        write_manifest(
            pictures(tmp_path / name / "images", {"train": 4 + seed, "test": 4}),
            tmp_path / name / "images" / "m.csv",
        )
        text = (
            '[[accuracy]]\nbackbone = "mobilenet"\nalpha = "none"\ndata = ["images/m.csv"]\ninput_size = 32\ncpus = {}'
        )
        (job,) = jobs_in(tmp_path / name, text.format(1))
        keys.append(job.key("", "", ""))
        (default,) = jobs_in(tmp_path / name, text.replace("cpus = {}", ""))
        assert default.key("", "", "") == job.key("", "", "")
        (two,) = jobs_in(tmp_path / name, text.format(2))
        assert two.key("", "", "") != job.key("", "", "")  # sums are in another order
    assert keys[0] == keys[1] != keys[2]
