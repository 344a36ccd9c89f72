"""A while loop: its end node copies everything back to its start node into a new round, until the condition fails."""

from comfy_execution.graph_utils import GraphBuilder, is_link


class ClassicWhile:
    RETURN_TYPES = ("FLOW_CONTROL", "*")
    RETURN_NAMES = ("FLOW", "VALUE")
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {})}}

    def run(self, value):
        return ("flow", value)


class ClassicEnd:
    RETURN_TYPES = ("*",)
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "flow": ("FLOW_CONTROL", {"rawLink": True}),
                "condition": ("BOOLEAN", {"forceInput": True}),
                "value": ("*", {}),
            },
            "hidden": {"graph": "DYNPROMPT", "my_id": "UNIQUE_ID"},
        }

    def run(self, flow, condition, value, graph, my_id):
        if not condition:
            return (value,)
        begin = flow[0]
        body = self.between(graph, begin, my_id)
        new = GraphBuilder()
        names = {node_id: "end" if node_id == my_id else node_id for node_id in body}  # else ids double each round
        copies = {node_id: new.node(graph.get_node(node_id)["class_type"], names[node_id]) for node_id in body}
        for node_id, copy in copies.items():
            copy.set_override_display_id(graph.get_display_node_id(node_id))
            for name, given in graph.get_node(node_id)["inputs"].items():
                inside = is_link(given) and given[0] in copies
                copy.set_input(name, copies[given[0]].out(given[1]) if inside else given)
        copies[begin].set_input("value", value)
        return {"result": (copies[my_id].out(0),), "expand": new.finalize()}

    def between(self, graph, begin, end):
        """Return the nodes between start and end, both included."""
        fed = {begin: True}

        def is_fed(node_id):
            if node_id not in fed:
                fed[node_id] = False
                links = [v[0] for v in graph.get_node(node_id)["inputs"].values() if is_link(v)]
                fed[node_id] = any(list(map(is_fed, links)))  # all of them are asked
            return fed[node_id]

        is_fed(end)
        return [node_id for node_id, found in fed.items() if found]


FLOW_NODES = [ClassicWhile, ClassicEnd]
