"""What a person runs and what CI runs. ``nox`` alone runs the default sessions; ``nox -l`` lists all."""

import nox

nox.options.sessions = ["lint", "architecture", "types", "install", "tests", "zoo"]
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
    session.install(*CONSTRAINED, ".", "mypy", "nox")
    session.run("mypy")


@nox.session
def install(session: nox.Session) -> None:
    """Run the README's main job from an installed wheel that has no extras."""
    session.install(*CONSTRAINED, ".")
    session.run("sfic-bench", "--version")
    session.run("sfic-bench", "audit")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, and the benchmarks once each; arguments after ``--`` go to pytest."""
    session.install(*CONSTRAINED, "-e", ".[test,peers,onnx]")
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
def cpu_bench(session: nox.Session) -> None:
    """Run the benchmarks on the CPU (minutes); JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,peers]")
    json = "reports/cpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "not gpu", "--benchmark-json", json, *session.posargs)


@nox.session
def gpu_bench(session: nox.Session) -> None:
    """Run the tests, benchmarks and table that need a CUDA device; JSON goes to reports/."""
    session.install(*CONSTRAINED, "-e", ".[test,gpu]")
    found = session.run("python", "-c", "import torch; print(torch.cuda.is_available())", silent=True)
    if str(found).strip() != "True":
        session.skip("torch finds no CUDA device on this machine, so nothing was measured")
    json = "reports/gpu_bench.json"
    session.run("pytest", "benchmarks", "-m", "gpu", "--benchmark-json", json, *session.posargs)
    session.run("python", "benchmarks/gpu_table.py", "reports")
