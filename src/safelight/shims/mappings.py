"""``nodes.NODE_CLASS_MAPPINGS``: what packs look nodes up in, and what some of them add their own nodes to."""

from safelight.shims.views import view_of
from safelight.worker.context import worker_context


class NodeClassMappings(dict[str, type]):
    """Mutable. ``ours``: classes to show instead of the views of our nodes."""

    def __init__(self, ours: dict[str, type]) -> None:
        super().__init__(ours)
        self._known: dict[str, type] = dict(ours)
        self.refresh()

    def refresh(self) -> None:
        """Show the nodes that were loaded since."""
        for node_id, node in worker_context().nodes.items():
            if node_id not in self:
                self[node_id] = self._known[node_id] = view_of(node)

    def added(self) -> dict[str, type]:
        """What packs have put in themselves since this was asked last."""
        new = {node_id: node for node_id, node in self.items() if node_id not in self._known}
        self._known |= new
        return new
