"""Plug-ins: what other installed packages add, by entry points of groups such as ``sfic_bench.backbones``.

Nothing of a plug-in is imported before its name is asked for. docs/plugins.md lists the groups.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from sfic_bench.errors import SficBenchError, first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class FailedPlugin(SficBenchError):
    """A plug-in cannot be imported, or is not what its group has."""


class WithPlugins(Mapping[str, T]):
    """What this package has under each name, and behind it what plug-ins add. A name of this package stays its own.

    Args:
        own: what this package has.
        group: the group of entry points, without ``sfic_bench.``.
        kind: the class of what plug-ins give; ``None`` for anything that can be called.

    Raises:
        FailedPlugin: on access to a plug-in that cannot be imported, or gives something else.
    """

    def __init__(self, own: Mapping[str, T], group: str, kind: type[T] | None = None) -> None:
        self._own, self._group, self._kind = own, f"sfic_bench.{group}", kind
        self._loaded: dict[str, T] = {}

    @cached_property
    def plugins(self) -> Mapping[str, "EntryPoint"]:
        """The entry points of plug-ins by name, in alphabetical order."""
        from importlib.metadata import entry_points  # takes a tenth of the start of most commands

        found = {point.name: point for point in entry_points(group=self._group) if point.name not in self._own}
        return dict(sorted(found.items()))

    def __getitem__(self, name: str) -> T:
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(self.plugins[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self.plugins

    def __iter__(self) -> Iterator[str]:
        yield from map(str, self._own)  # of a name that is a member of an enumeration, its text
        yield from self.plugins

    def __len__(self) -> int:
        return len(self._own) + len(self.plugins)

    def _load(self, point: "EntryPoint") -> T:
        package = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
        described = f"the plug-in {point.name}{package} ({self._group})"
        try:
            loaded: T = point.load()
        except Exception as error:  # whatever its code raises
            raise FailedPlugin(f"{described} failed with {type(error).__name__}: {first_line(error)}") from error
        if not (callable(loaded) if self._kind is None else isinstance(loaded, self._kind)):
            expected = "a function" if self._kind is None else f"an object of {self._kind.__name__}"
            raise FailedPlugin(f"{described} gives {type(loaded).__name__}, expected {expected}")
        return loaded
