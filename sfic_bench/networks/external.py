"""Networks of other libraries and of files, by reference: ``timm:NAME``, ``torchvision:NAME``, ``FILE.py:FUNCTION``."""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from sfic_bench.errors import (
    InvalidValue,
    MissingDependency,
    SficBenchError,
    UnknownName,
    UnsupportedModel,
    first_line,
)
from sfic_bench.extras import install_command

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = ("timm", "torchvision")

DEFAULT_CLASSES = 2
"""The number of logits of a detector that nobody asked for another number of."""


def is_reference(name: str) -> bool:
    """Whether ``name`` refers to a library or a file, and is not a registered name."""
    return ":" in name


def file_of(name: str) -> Path | None:
    """The file that the network ``name`` comes from; ``None`` for a registered name or a library's network."""
    place = name.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def check_reference(name: str) -> None:
    """Raise `InvalidValue` unless ``name`` is well formed and, if it names a file, that file exists."""
    place, _, network = name.rpartition(":")
    if place in LIBRARIES and network:
        return
    if not place.endswith(".py") or not network.isidentifier():
        raise InvalidValue(f"cannot read backbone {name!r}: expected timm:NAME, torchvision:NAME or FILE.py:FUNCTION")
    if not Path(place).is_file():
        raise InvalidValue(f"cannot read backbone {name!r}: there is no file {place}")


def networks_of(library_name: str) -> list[str]:
    """The names of all networks of timm or torchvision that have not been replaced by others.

    Raises:
        MissingDependency: if the library is not installed, or cannot be imported.
    """
    if library_name == "timm":
        timm: Any = library("timm")
        return list(timm.list_models())
    models: Any = library("torchvision").models
    return list(models.list_models(module=models))


def factory_of(name: str) -> "Callable[[int], nn.Module]":
    """The function that makes the network that ``name`` refers to, for a number of classes.

    Raises:
        InvalidValue: for a reference that is not well formed, or a file without that function.
        MissingDependency: if the library is not installed, or cannot be imported.
        UnknownName: if the library has no such network, with the nearest name.
    """
    check_reference(name)
    place, _, network = name.rpartition(":")
    if place == "timm":
        return _timm(network)
    return _torchvision(network) if place == "torchvision" else _from_file(Path(place), network)


def library(name: str, otherwise: str = "") -> ModuleType:
    """A library of the extra ``zoo``.

    Raises:
        MissingDependency: if it is not installed, or cannot be imported; the message ends in what to do ``otherwise``.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        hint = install_command("zoo") + (f", or {otherwise}" if otherwise else "")
        raise MissingDependency(f"{name} cannot be imported: {error}; {hint}") from None
    except RuntimeError as error:  # torchvision raises it beside a torch that it was not built for
        hint = "install the torchvision that goes with it"
        raise MissingDependency(f"{name} cannot be imported beside this torch: {error}; {hint}") from None


def _timm(name: str) -> "Callable[[int], nn.Module]":
    timm: Any = library("timm")
    if not timm.is_model(name):
        raise UnknownName("timm network", name, networks_of("timm"))
    return lambda classes: timm.create_model(name, num_classes=classes)


def _torchvision(name: str) -> "Callable[[int], nn.Module]":
    models: Any = library("torchvision").models
    names = networks_of("torchvision")
    if name not in names:
        raise UnknownName("torchvision network", name, names)
    builder = models.get_model_builder(name)
    # The inceptions' second classifiers are for training alone, and their own initialisation takes a minute.
    quick = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return lambda classes: builder(weights=None, num_classes=classes, **quick)


def _from_file(path: Path, name: str) -> "Callable[[int], nn.Module]":
    spec = importlib.util.spec_from_file_location(f"sfic_bench_file_{path.stem}", path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up the module that defines them
    with _others_code(path):
        spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise InvalidValue(f"{path} has no function {name!r} that makes a network")

    def make(classes: int) -> "nn.Module":
        from torch import nn

        with _others_code(path):
            accepted = inspect.signature(function).parameters
            parameter = next((n for n in ("num_classes", "classes") if n in accepted), None)
            if parameter is None and classes != DEFAULT_CLASSES:
                raise InvalidValue(
                    f"{path}:{name} takes neither num_classes nor classes, so that it cannot be asked for {classes} "
                    "classes: give it such an argument, or leave --classes out"
                )
            model = function() if parameter is None else function(**{parameter: classes})
        if not isinstance(model, nn.Module):
            raise UnsupportedModel(f"{path}:{name} gives {type(model).__name__}, expected a torch.nn.Module")
        return model

    return make


@contextmanager
def _others_code(path: Path) -> Iterator[None]:
    """Whatever the code in ``path`` raises becomes one error that names the file, also if it tries to end the process.

    Raises:
        FailedCode: with what was raised.
    """

    def leave(status: int) -> NoReturn:
        raise SystemExit(status)

    real_exit, os._exit = os._exit, leave
    try:
        yield
    except (KeyboardInterrupt, SficBenchError):
        raise
    except BaseException as error:
        raise FailedCode(f"{path} failed with {type(error).__name__}: {first_line(error)}") from error
    finally:
        os._exit = real_exit


class FailedCode(SficBenchError):
    """The code of a file that the user named raised an exception, or tried to end the process."""
