"""``nodes.NODE_CLASS_MAPPINGS``: packs look up nodes in it, and some add their own."""

from safelight.shims.views import view_of
from safelight.worker.context import worker_context


class NodeClassMappings(dict[str, type]):
    """Mutable. ``classes``: V1 classes to use instead of views of the library's nodes."""

    def __init__(self, classes: dict[str, type]) -> None:
        super().__init__(classes)
        self._known: dict[str, type] = dict(classes)
        self.refresh()

    def refresh(self) -> None:
        """Add the nodes that were loaded since the last call."""
        for node_id, node in worker_context().nodes.items():
            if node_id not in self:
                self[node_id] = self._known[node_id] = view_of(node)

    def added(self) -> dict[str, type]:
        """Return the classes that packs have added since the last call."""
        new = {node_id: node for node_id, node in self.items() if node_id not in self._known}
        self._known |= new
        return new
