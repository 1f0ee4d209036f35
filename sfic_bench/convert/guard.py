"""The check, in the graph of a network, that its code would take the way at this input that it took when traced."""

from torch import fx

from sfic_bench.errors import InvalidValue


@fx.node.has_side_effect
def same_way(value: float | fx.Proxy, traced: float, images: str) -> None:
    """Check that ``value``, computed from sizes, is what it was when the network was ``traced`` with such ``images``.

    Raises:
        InvalidValue: if it is not.
    """
    if isinstance(value, fx.Proxy):  # the graph is traced again, as after pickling
        value.tracer.create_proxy("call_function", same_way, (value, traced, images), {})
    elif value != traced:
        raise InvalidValue(
            f"the network was converted for images of {images}, and its code would go another way for this input "
            f"(a number that follows from its size is {value}, and was {traced}): convert it with the size of this "
            "input as input_size"
        )
