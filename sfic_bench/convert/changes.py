"""Changes of tensors in place, in a graph of torch.fx."""

from torch import fx


def changed_by(node: fx.Node) -> fx.Node | None:
    """The tensor that the function or method at ``node`` changes in place and returns, if there is one."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    is_call = node.op in ("call_function", "call_method")
    in_place = (name.endswith("_") and not name.endswith("__")) or node.kwargs.get("inplace") is True
    first = node.args[0] if node.args else None
    return first if is_call and in_place and isinstance(first, fx.Node) else None


def follow_changes(graph: fx.Graph) -> bool:
    """Let all that reads a tensor after a change in place read the result of that change.

    It is the same tensor; without this, a change whose result is not read by name would be dead code. Returns whether
    the graph has changed.
    """
    passed: set[fx.Node] = set()
    has_changed = False
    for node in graph.nodes:
        passed.add(node)
        if (changed := changed_by(node)) is not None:
            for user in [user for user in changed.users if user not in passed]:
                user.replace_input_with(changed, node)
                has_changed = True
    return has_changed
