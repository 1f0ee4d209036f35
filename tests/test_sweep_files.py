"""The jobs that sweep files define, and the keys of the jobs."""

from pathlib import Path

import pytest
from helpers.sweeps import COST, TRAINING, jobs_in, run_sweep, training_data
from helpers.training import pictures
from msgspec.structs import replace

from sfic_bench.data.manifest import write_manifest
from sfic_bench.sweeping.jobs import CostJob, TimingJob, TrainJob
from sfic_bench.sweeping.jobs.job import Needs
from sfic_bench.sweeping.spec import BadSweep


def test_a_block_is_the_product_of_its_axes(tmp_path: Path) -> None:
    jobs = jobs_in(
        tmp_path,
        '[[cost]]\nbackbone = "all"\n[[cost]]\nbackbone = "mobilenet"\nalpha = "none"\ninput_size = [64, 96]',
    )
    assert len(jobs) == 11 * 13 + 2
    last, largest = jobs[-2:]
    assert isinstance(last, CostJob) and isinstance(largest, CostJob)
    assert (last.input_size, largest.input_size) == (64, 96) and largest.network.alpha is None


def timing_jobs(folder: Path, text: str) -> list[TimingJob]:
    """The jobs of a sweep file that only times."""
    jobs = jobs_in(folder, text)
    timings = [job for job in jobs if isinstance(job, TimingJob)]
    assert len(timings) == len(jobs)
    return timings


def test_a_timed_cell_is_one_network_beside_vanilla(tmp_path: Path) -> None:
    text = '[[latency]]\nbackbone = ["mobilenet", "xception"]\n{}batch_size = [1, 4]\npath = ["fused", "compiled"]'
    jobs = timing_jobs(tmp_path, text.format("alpha = 0.5\nbeta = [0.5, 1]\n"))
    assert [(str(c.network), c.conditions.batch_size) for c in jobs[:3]] == [
        ("mobilenet α=0.5 β=0.5", 1), ("mobilenet α=0.5 β=0.5", 4), ("mobilenet α=0.5 β=1", 1)
    ]  # fmt: skip
    assert len(jobs) == 8 and all(c.needs.cpus is None and c.paths == ["fused", "compiled"] for c in jobs)
    assert len(jobs_in(tmp_path, text.format('alpha = "none"\n'))) == 4
    on_gpus = jobs_in(tmp_path, text.format('alpha = "none"\ndevice = "cuda"\naccelerator_type = ["A100", "H100"]\n'))
    assert [(c.needs.gpus, c.needs.accelerator_type) for c in on_gpus[:2]] == [(1, "A100"), (1, "H100")]


def test_the_old_name_of_a_key_is_understood_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    block = '[[latency]]\nbackbone = "resnet26"\nalpha = 0.5\nbeta = 1.0\n{} = "bf16"\n'
    today, before = (timing_jobs(tmp_path, block.format(key)) for key in ("precision", "dtype"))
    assert [job.conditions for job in today] == [job.conditions for job in before]
    assert all(job.conditions.dtype == "bf16" for job in today)
    assert "the key dtype is called precision now" in caplog.text


def test_batch_sizes_are_searched_for_in_one_cell(tmp_path: Path) -> None:
    text = '[[latency]]\nbackbone = "mobilenet"\nalpha = 0.5\nbatch_size = {}\nrounds = 36\nmemory_limit = "8GiB"'
    listed, found = (timing_jobs(tmp_path, text.format(sizes)) for sizes in ("[1, 4]", '"auto"'))
    assert [(job.conditions.batch_size, job.finds_batch_sizes) for job in listed[:2]] == [(1, False), (4, False)]
    assert len(listed) == 2 * len(found) and all(job.finds_batch_sizes for job in found)
    assert {(job.rounds, job.memory_limit) for job in (*listed, *found)} == {(36, 8 * 2**30)}
    assert "N×256×256" in str(found[0]) and "1×256×256" in str(listed[0])
    assert found[0].facts() != listed[0].facts()


@pytest.mark.parametrize(
    ("text", "message"),
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
        ('[[latency]]\nbackbone = "vgg13"\nmemory_limit = "8"', "expected a memory such as 8GiB"),
        ('[[latency]]\nbackbone = "vgg13"\nbatch_size = "most"', "batch_size"),
        ('[[accuracy]]\nbackbone = "vgg13"\nlearning_rate = -1', r"\[\[accuracy\]\] 1: learning rate must lie"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndata = ["no.csv"]', "cannot read .*no.csv"),
        ('[[accuracy]]\nbackbone = "vgg13"\ndevice = "cuda"\ndevices = 2\ngpus = 1',
         "devices = 2 asks for as many GPUs"),
        ("[[cost", "is no TOML"),
        ("", "asks for nothing"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadSweep, match=message):
        jobs_in(tmp_path, text)


NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, {}, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_a_key_depends_on_what_determines_the_result(tmp_path: Path) -> None:
    (cost, *_) = jobs_in(tmp_path, COST)
    key = cost.key("1", "2.13", "")
    elsewhere = replace(cost, block="elsewhere", needs=Needs(cpus=3))
    assert key.startswith("cost-mobilenet-") and key == elsewhere.key("1", "2.13", "")
    assert key not in (cost.key("2", "2.13", ""), cost.key("1", "2.6", ""), cost.key("1", "2.13", "A100"))
    keys = []
    for folder, channels in (("a", 4), ("b", 4), ("c", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(NETWORK.format(channels))
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


def test_loggers_belong_together_and_are_in_no_key(tmp_path: Path) -> None:
    training_data(tmp_path)
    keys = set()
    for line, names in (
        ("", None), ('logger = "none"\n', ["none"]), ('logger = ["wandb", "mlflow"]\n', ["wandb", "mlflow"])
    ):  # fmt: skip
        (job,) = jobs_in(tmp_path, TRAINING + line)
        assert isinstance(job, TrainJob) and job.loggers == names
        keys.add(job.key("", "", ""))
    assert len(keys) == 1


def test_a_sweep_logs_as_its_block_says(tmp_path: Path) -> None:
    training_data(tmp_path)
    assert run_sweep(tmp_path, TRAINING + 'logger = "none"\n')[0] == 0
    (result,) = (tmp_path / "out").rglob("metrics.jsonl")
    assert not (result.parent / "events").exists()
