"""Networks that are not registered here, by reference: ``timm:NAME``, ``torchvision:NAME``, ``FILE.py:FUNCTION``."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sfic_bench.errors import InvalidValue, MissingDependency, UnknownName, UnsupportedModel

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = ("timm", "torchvision")


def is_reference(name: str) -> bool:
    """Whether ``name`` refers to a network elsewhere, rather than being a registered name."""
    return ":" in name


def check_reference(name: str) -> None:
    """Raise unless ``name`` is well formed and, if it names a file, that file exists.

    Raises:
        InvalidValue: saying which forms there are, or that there is no such file.
    """
    place, _, what = name.rpartition(":")
    if place in LIBRARIES and what:
        return
    if not place.endswith(".py") or not what.isidentifier():
        raise InvalidValue(
            f"cannot read backbone {name!r}: expected timm:NAME, torchvision:NAME or FILE.py:FUNCTION"
        )
    if not Path(place).is_file():
        raise InvalidValue(f"cannot read backbone {name!r}: there is no file {place}")


def factory_of(name: str) -> "Callable[[int], nn.Module]":
    """What makes the network that ``name`` refers to, for a number of classes.

    Raises:
        InvalidValue: for a reference that is not well formed, or a file without that function.
        MissingDependency: if the library is not installed, or cannot be imported.
        UnknownName: if the library has no such network, with the nearest name.
    """
    check_reference(name)
    place, _, what = name.rpartition(":")
    match place:
        case "timm":
            return _timm(what)
        case "torchvision":
            return _torchvision(what)
    return _from_file(Path(place), what)


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependency(
            f"{name} cannot be imported: {error}; pip install 'sfic-bench[zoo]'"
        ) from None
    except RuntimeError as error:  # what torchvision raises beside a torch that it was not built for
        raise MissingDependency(
            f"{name} cannot be imported beside this torch: {error}; install the torchvision that goes with it"
        ) from None


def _timm(what: str) -> "Callable[[int], nn.Module]":
    timm: Any = _library("timm")
    if not timm.is_model(what):
        raise UnknownName("timm network", what, timm.list_models())
    return lambda classes: timm.create_model(what, num_classes=classes)


def _torchvision(what: str) -> "Callable[[int], nn.Module]":
    models: Any = _library("torchvision").models
    if what not in models.list_models(module=models):
        raise UnknownName("torchvision network", what, models.list_models(module=models))
    builder = models.get_model_builder(what)
    # The inceptions' second classifiers are for training alone, and their own initialisation takes a minute.
    quick = {"aux_logits": False, "init_weights": False} if what in ("googlenet", "inception_v3") else {}
    return lambda classes: builder(weights=None, num_classes=classes, **quick)


def _from_file(path: Path, what: str) -> "Callable[[int], nn.Module]":
    spec = importlib.util.spec_from_file_location(f"sfic_bench_file_{path.stem}", path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    function = getattr(module, what, None)
    if not callable(function):
        raise InvalidValue(f"{path} has no function {what!r} that makes a network")

    def make(classes: int) -> "nn.Module":
        from torch import nn

        taken = inspect.signature(function).parameters
        named = next((n for n in ("num_classes", "classes") if n in taken), None)
        model = function() if named is None else function(**{named: classes})
        if not isinstance(model, nn.Module):
            raise UnsupportedModel(f"{path}:{what} gives {type(model).__name__}, expected a torch.nn.Module")
        return model

    return make
