"""What a person runs and what CI runs. ``nox`` alone runs the default sessions; ``nox -l`` lists all."""

import nox

nox.options.sessions = ["lint", "architecture", "types", "install", "regression", "tests", "zoo", "sweep"]
nox.options.error_on_missing_interpreters = True

CONSTRAINED = ("-c", "constraints.txt")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*CONSTRAINED, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def architecture(session: nox.Session) -> None:
    """Check which room imports which."""
    session.install(*CONSTRAINED, "import-linter")
    session.install("--no-deps", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install(*CONSTRAINED, ".[train,faces,report]", "mypy", "nox")
    session.run("mypy")


@nox.session
def install(session: nox.Session) -> None:
    """Run the README's main job from an installed wheel that has no extras."""
    session.install(*CONSTRAINED, ".")
    session.run("sfic-bench", "--version")
    session.run("sfic-bench", "audit")


COUNTS = "reports/counts.json"
TIMED = (
    "latency",
    "--backbone",
    "mobilenet,resnet26",
    "--alpha",
    ".5",
    "--beta",
    ".5,1",
    "--layout",
    "channels-last",
)


@nox.session
def regression(session: nox.Session) -> None:
    """Hold every backbone's parameters and MACs over the grid to the committed ones, exactly."""
    session.install(*CONSTRAINED, ".")
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
        to = ("--format", "json", "--output", f"reports/baseline-{device}.json")
        session.run("sfic-bench", *TIMED, "--device", device, "--path", paths, "--max-seconds", "120", *to)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, and the benchmarks once each; arguments after ``--`` go to pytest."""
    session.install(*CONSTRAINED, "-e", ".[test,peers,onnx,report,train,faces]")
    session.run("pytest", "-n", "2", *session.posargs)
    once = ("benchmarks/test_stage2.py", "benchmarks/test_networks.py")
    session.run("pytest", "-q", "--benchmark-disable", *once)


@nox.session
def zoo(session: nox.Session) -> None:
    """Convert other people's networks, in an environment of their own.

    torchvision's extension is built for another build of torch than the one for CPUs; it needs no more
    than operators' names here, and brings none of its dependencies.
    """
    session.install(*CONSTRAINED, "-e", ".[test]", "huggingface_hub", "pillow", "PyYAML", "safetensors")
    session.install(*CONSTRAINED, "--no-deps", "timm", "torchvision")
    session.run("pytest", "-n", "2", "tests/zoo", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Sweep on a Ray cluster of two nodes on this machine, and lose one of them."""
    session.install(*CONSTRAINED, "-e", ".[test,train,ray]")
    session.run("pytest", "tests/cluster", *session.posargs)


@nox.session
def cpu_bench(session: nox.Session) -> None:
    """Run the benchmarks on the CPU (minutes); JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,peers]")
    json = "reports/cpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "not gpu", "--benchmark-json", json, *session.posargs)


@nox.session
def gpu_bench(session: nox.Session) -> None:
    """Run the tests, benchmarks and table that need a CUDA device; JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,gpu]")
    if not _has_cuda(session):
        session.skip("torch finds no CUDA device on this machine, so nothing was measured")
    for part in "ABCD":  # each is correct or says what is not; the others are measured all the same
        session.run("python", "benchmarks/gpu_measure.py", part, "reports", success_codes=[0, 1])
    json = "reports/gpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "gpu", "--benchmark-json", json, *session.posargs)


def _has_cuda(session: nox.Session) -> bool:
    found = session.run("python", "-c", "import torch; print(torch.cuda.is_available())", silent=True)
    return str(found).strip() == "True"
