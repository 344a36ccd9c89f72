"""A prompt with the nodes that expansions have added."""


class ExecutionBlocker:
    def __init__(self, message):
        self.message = message


class DynamicPrompt:
    def __init__(self, prompt):
        self.original_prompt = prompt
        self._added = {}
        self._parents = {}

    def get_node(self, node_id):
        return self._added.get(node_id) or self.original_prompt[node_id]

    def has_node(self, node_id):
        return node_id in self._added or node_id in self.original_prompt

    def add_ephemeral_node(self, node_id, node, parent_id):
        self._added[node_id] = node
        self._parents[node_id] = parent_id

    def get_parent_node_id(self, node_id):
        return self._parents.get(node_id)

    def get_real_node_id(self, node_id):
        while node_id in self._parents:
            node_id = self._parents[node_id]
        return node_id

    get_display_node_id = get_real_node_id
