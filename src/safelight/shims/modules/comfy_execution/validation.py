"""Whether an output may feed an input."""

from safelight.graph.link_types import fits, members


def validate_node_input(received_type: str, input_type: str, strict: bool = False) -> bool:
    """``strict``: all that the output may be must fit, not just something of it."""
    received, wanted = "".join(received_type), "".join(input_type)  # packs use strings that equal everything
    if strict and received != "*" and wanted != "*":
        return members(received) <= members(wanted)
    return fits(received, wanted)
