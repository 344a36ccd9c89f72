"""How nodes build the graphs that they expand to."""


class Node:
    def __init__(self, node_id, class_type, inputs):
        self.id, self.class_type, self.inputs = node_id, class_type, inputs

    def out(self, index):
        return [self.id, index]


class GraphBuilder:
    prefix = ""

    def __init__(self):
        self._nodes = []

    def node(self, class_type, id=None, **inputs):
        made = Node(f"{GraphBuilder.prefix}.0.0.{id or len(self._nodes) + 1}", class_type, inputs)
        self._nodes.append(made)
        return made

    def finalize(self):
        return {node.id: {"class_type": node.class_type, "inputs": node.inputs} for node in self._nodes}
