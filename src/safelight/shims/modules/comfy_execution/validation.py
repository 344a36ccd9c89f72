"""Whether an output may feed an input."""

from safelight.graph.link_types import fits, members


def validate_node_input(received_type: str, input_type: str, strict: bool = False) -> bool:
    """Return whether the types fit. ``strict``: every type that the output can have must fit, not just one of them."""
    received, wanted = "".join(received_type), "".join(input_type)  # packs use strings that equal everything
    if strict and received != "*" and wanted != "*":
        return members(received) <= members(wanted)
    return fits(received, wanted)
