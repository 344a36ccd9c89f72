"""Results by the inputs of their nodes, and objects of node classes by the ids of their nodes."""


class CacheKeySet:
    def __init__(self, dynprompt, changes):
        self.dynprompt, self.changes = dynprompt, changes
        self.keys, self.subcache_keys = {}, {}


class CacheKeySetID(CacheKeySet):
    async def add_keys(self, node_ids):
        for node_id in node_ids:
            key = (node_id, self.dynprompt.get_node(node_id)["class_type"])
            self.keys.setdefault(node_id, key)
            self.subcache_keys.setdefault(node_id, key)


class CacheKeySetInputSignature(CacheKeySet):
    async def add_keys(self, node_ids):
        for node_id in node_ids:
            if node_id not in self.keys:
                self.keys[node_id] = await self._signature(node_id)

    async def _signature(self, node_id):
        node = self.dynprompt.get_node(node_id)
        inputs = []
        for name, value in sorted(node["inputs"].items()):
            if isinstance(value, list) and len(value) == 2 and self.dynprompt.has_node(value[0]):
                inputs.append((name, await self._signature(value[0]), value[1]))
            else:
                inputs.append((name, frozen(value)))
        return node["class_type"], frozen(await self.changes.get(node_id)), tuple(inputs)


class Cache:
    """What the latest prompt used, as ComfyUI's classic cache."""

    def __init__(self, key_class):
        self._key_class, self._values, self._keys = key_class, {}, None

    async def set_prompt(self, dynprompt, node_ids, changes):
        self._keys = self._key_class(dynprompt, changes)
        await self.add(node_ids)
        used = set(self._keys.keys.values())
        self._values = {key: value for key, value in self._values.items() if key in used}

    async def add(self, node_ids):
        await self._keys.add_keys(node_ids)

    def get(self, node_id):
        return self._values.get(self._keys.keys.get(node_id))

    def set(self, node_id, value):
        self._values[self._keys.keys[node_id]] = value


def frozen(value):
    if isinstance(value, dict):
        return frozenset((key, frozen(item)) for key, item in value.items())
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value
