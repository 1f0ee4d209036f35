"""The sessions that people and CI run: ``nox`` runs the default ones, ``nox -l`` lists all."""

import os
import re
import shutil
import time
from pathlib import Path

import nox

nox.options.sessions = [
    "lint", "types", "site", "regression", "tests", "kernels", "zoo_families", "sweep",
]  # fmt: skip
nox.options.error_on_missing_interpreters = True

# Python compiles what is imported and keeps it; pip would spend a minute in each environment on modules that no session
# imports. Where a variable forbids to keep it, each process that a test starts would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
CONSTRAINED = ("--no-compile", "-c", "constraints.txt")
FOR_TESTS = ".[test,peers,onnx,openvino,report,train,faces,hub,lmdb,hf]"
# Idle workers take tests from busy ones, so that no core waits for the other's last long tests.
ON_TWO_CORES = ("-n", "2", "--dist", "worksteal")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, and which room imports which."""
    session.install(*CONSTRAINED, "ruff", "import-linter")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode."""
    session.install(*CONSTRAINED, ".[test,train,faces,report,hub]", "mypy", "nox")
    session.run("mypy")


COUNTS = "reports/counts.json"
TIMED_GRID = ("--backbone", "mobilenet,resnet26", "--alpha", ".5", "--beta", ".5,1", "--layout", "channels-last")


@nox.session
def regression(session: nox.Session) -> None:
    """Compare every backbone's parameters and MACs over the grid with the committed and the printed ones, exactly.

    The package is an installed wheel without extras, so that a module or a requirement that it lacks shows.
    """
    session.install(*CONSTRAINED, ".")
    session.run("sfic-bench", "--version")
    session.run("sfic-bench", "audit")
    head = f"{session.create_tmp()}/counts.json"
    session.run("sfic-bench", "flops", "--format", "json", "--output", head)
    session.run("sfic-bench", "compare", COUNTS, head, "--fail-on-change")


@nox.session
def baseline(session: nox.Session) -> None:
    """Renew the committed baselines: counts, and times on this machine's devices (minutes)."""
    session.install(*CONSTRAINED, ".")
    session.run("sfic-bench", "flops", "--format", "json", "--output", COUNTS)
    for device in ("cpu", "cuda") if _has_cuda(session) else ("cpu",):
        paths = "reference,fused" if device == "cpu" else "reference,fused,compiled-freezing,cuda-graph"
        output = ("--format", "json", "--output", f"reports/baseline-{device}.json")
        where = ("--device", device, "--path", paths, "--max-seconds", "120")
        session.run("sfic-bench", "latency", *TIMED_GRID, *where, *output)


@nox.session
def picture(session: nox.Session) -> None:
    """Renew the README's picture of a report, which Debian's chromium draws."""
    session.install(*CONSTRAINED, ".[test,report]")
    session.run("python", "docs/picture.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, and the benchmarks once each; arguments after ``--`` go to pytest."""
    session.install(*CONSTRAINED, "-e", FOR_TESTS)
    session.run("pytest", *ON_TWO_CORES, *session.posargs)
    once = ("benchmarks/test_stage2.py", "benchmarks/test_networks.py")
    session.run("pytest", "-q", "--benchmark-disable", *once)


@nox.session
def thorough(session: nox.Session) -> None:
    """Run the tests that repeat for minutes what others show with fewer networks, and kill each command twice."""
    session.install(*CONSTRAINED, "-e", FOR_TESTS)
    session.run("pytest", *ON_TWO_CORES, "-m", "thorough", *session.posargs)
    with session.chdir("tests"):
        session.run("python", "-m", "fuzz.kills", "--kills", "40", "--seed", str(time.time_ns() % 1_000_000))


@nox.session
def loggers(session: nox.Session) -> None:
    """Log trainings with Weights & Biases and MLflow themselves, offline."""
    session.install(*CONSTRAINED, "-e", ".[test,train,wandb,mlflow]")
    session.run("pytest", "-q", "tests/test_loggers.py", *session.posargs)


@nox.session
def oldest_torch(session: nox.Session) -> None:
    """Run the test suite with the oldest torch that pyproject.toml admits."""
    (oldest,) = re.findall(r'"torch>=([\d.]+)"', Path("pyproject.toml").read_text(encoding="utf-8"))
    # torch 2.6 pins sympy, whose pinned version suits only later ones.
    pins = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = Path(session.create_tmp(), "constraints.txt")
    constraints.write_text("\n".join(pin for pin in pins if not pin.startswith(("torch==", "sympy=="))))
    session.install("-c", str(constraints), "-e", FOR_TESTS, f"torch=={oldest}.*")
    session.run("pytest", *ON_TWO_CORES, *session.posargs)


@nox.session
def explore(session: nox.Session) -> None:
    """Search for counterexamples and for tracebacks for ten minutes, or for ``nox -s explore -- MINUTES [TESTS]``.

    Half of the time goes to mutated files and options (``tests/fuzz``), half to the property tests. Each pass draws new
    examples. What it finds ends the search and becomes a test: a counterexample with ``@example``, a mutated file with
    the seed and the number that are printed.
    """
    minutes, *selected = session.posargs or ["10"]
    session.install(*CONSTRAINED, "-e", FOR_TESTS)
    half, seed = 30 * float(minutes), str(time.time_ns() % 1_000_000)
    with session.chdir("tests"):
        session.run("python", "-m", "fuzz.run", "--inputs", "100000000", "--seed", seed, "--seconds", str(half))
    end = time.monotonic() + half
    while time.monotonic() < end:
        session.run("pytest", *ON_TWO_CORES, "-q", "-m", "hypothesis", *selected, env={"HYPOTHESIS_PROFILE": "search"})


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation site into build/site; a broken link is an error."""
    session.install(*CONSTRAINED, "mkdocs-jupyter", "mkdocs-material", "mkdocstrings[python]", "ruff")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and the source archive, check them, and run every command of the wheel alone.

    ``nox -s wheel -- FOLDER`` leaves both in that folder.
    """
    session.install(*CONSTRAINED, "build", "check-wheel-contents", "twine")
    folder = Path(session.create_tmp()).resolve()
    built = Path(session.posargs[0]).resolve() if session.posargs else folder / "dist"
    alone = folder / "alone"
    for old in (built, alone):
        shutil.rmtree(old, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built))
    session.run("twine", "check", "--strict", *map(str, built.iterdir()))
    (archive,) = built.glob("*.whl")
    session.run("check-wheel-contents", str(archive))
    smoke, constraints = Path("tests/smoke.py").resolve(), Path("constraints.txt").resolve()
    session.run("python", "-m", "venv", str(alone))
    python = str(alone / "bin" / "python")
    session.run(python, "-m", "pip", "install", "-q", "-c", str(constraints), str(archive), external=True)
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with session.chdir(work):
        session.run(python, "-P", str(smoke), external=True)


@nox.session
def zoo(session: nox.Session) -> None:
    """Convert every convolutional network of timm, and check one of each family."""
    _test_zoo(session, "not thorough")


@nox.session
def zoo_families(session: nox.Session) -> None:
    """Convert one network of each family of torchvision and timm, and check what it computes."""
    _test_zoo(session, "not thorough and not every")


def _test_zoo(session: nox.Session, marks: str) -> None:
    """Run `tests/zoo` in an environment of its own.

    torchvision's extension is built for another build of torch than the one for CPUs; it needs no more
    than operators' names here, and brings none of its dependencies.
    """
    session.install(*CONSTRAINED, "-e", ".[test,peers,onnx]", "huggingface_hub", "pillow", "PyYAML", "safetensors")
    session.install(*CONSTRAINED, "--no-deps", "timm", "torchvision")
    session.run("pytest", *ON_TWO_CORES, "-m", marks, "tests/zoo", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Run the Triton kernel in Triton's interpreter, and compile it for an H100, on a machine without a GPU.

    torch's builds for CPUs do not bring Triton, which needs no more than they have.
    """
    session.install(*CONSTRAINED, "-e", ".", "hypothesis", "pytest")
    session.install(*CONSTRAINED, "--no-deps", "triton")
    session.run("pytest", "-m", "not thorough", "tests/kernels", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Sweep on a Ray cluster of two nodes on this machine, and lose one of them."""
    session.install(*CONSTRAINED, "-e", ".[test,train,ray]")
    session.run("pytest", "tests/cluster", *session.posargs)


@nox.session
def cpu_bench(session: nox.Session) -> None:
    """Run the benchmarks on the CPU (minutes); JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,peers,train]")
    session.run("python", "benchmarks/training_speed.py", "cpu", "reports/training/speed-cpu.json")
    json = "reports/cpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "not gpu", "--benchmark-json", json, *session.posargs)


@nox.session
def gpu_bench(session: nox.Session) -> None:
    """Run the tests, benchmarks and table that need a CUDA device; JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,gpu,train,kernels]")
    if not _has_cuda(session):
        session.skip("torch finds no CUDA device on this machine, so nothing was measured")
    for part in "ABCDE":  # a part exits with 1 if one of its measurements failed; the others are still good
        session.run("python", "benchmarks/gpu_measure.py", part, "reports", success_codes=[0, 1])
    session.run("python", "benchmarks/training_speed.py", "cuda", "reports/training/speed-cuda.json")
    json = "reports/gpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "gpu", "--benchmark-json", json, *session.posargs)


def _has_cuda(session: nox.Session) -> bool:
    answer = session.run("python", "-c", "import torch; print(torch.cuda.is_available())", silent=True)
    return str(answer).strip() == "True"
