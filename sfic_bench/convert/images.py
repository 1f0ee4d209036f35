"""The images that a network is run on without data: to trace it, and to know its values."""

from collections.abc import Mapping

from torch import fx, nn

Shape = tuple[int, ...]

IMAGE = (3, 256, 256)
"""Channels, height and width of an image for a network that does not say what it takes."""

USUAL_SIZES = (224, 299, 331, 128, 64, 32)
"""Heights and widths that are tried next, for a network whose last layers fit only one of them."""

SAYS_INPUT_SIZE = ("input_size", "default_cfg", "pretrained_cfg")
"""Attributes by which a network may say what images it takes."""


def image_shapes(model: nn.Module, input_size: int | None) -> list[Shape]:
    """Channels, height and width of images that ``model`` may take, the likeliest first.

    With an ``input_size`` all have that height and width.
    """
    said = next((shape for name in SAYS_INPUT_SIZE if (shape := _shape_in(getattr(model, name, None)))), IMAGE)
    sizes = [said[1:], *((n, n) for n in USUAL_SIZES)] if input_size is None else [(input_size, input_size)]
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels = dict.fromkeys([said[0]] if first is None else [said[0], first.in_channels])
    return [(n, *size) for size in dict.fromkeys(sizes) for n in channels]


def _shape_in(value: object) -> Shape | None:
    """The shape of an image that an attribute of a network gives, if it gives one."""
    if isinstance(value, Mapping):
        value = value.get("input_size")
    if type(value) is int:
        value = (value, value)
    if not isinstance(value, list | tuple) or not all(type(n) is int and n > 0 for n in value):
        return None
    return (*IMAGE[: 3 - len(value)], *value) if len(value) in (2, 3) else None


def with_images(graph: fx.GraphModule, *shapes: Shape) -> fx.GraphModule:
    """``graph``, which remembers the ``shapes`` of images that its network may take."""
    graph.meta["sfic_bench_images"] = shapes
    return graph


def images_of(graph: fx.GraphModule) -> list[Shape]:
    """The shapes of images that the network of ``graph`` may take, the likeliest first."""
    return list(graph.meta.get("sfic_bench_images") or image_shapes(graph, None))
