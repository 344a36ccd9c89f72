"""The cache key of a call: one digest of the call and everything it depends on.

Two calls with the same signature have the same result, in any job. A signature covers the node's identity, its
literals, its fingerprint, and the signatures of the calls that feed it, so it covers all ancestors at a cost that does
not depend on the depth of the graph. A string that names a file is signed with the file's digest. If equality cannot be
decided, the call has no signature (``None``), and neither has any call that depends on it.

Users share results that depend only on numbers, choices and models. A result that depends on a user's text or file is
signed with the owner, because a fast reply would reveal to one user what another has written or uploaded. So are
outputs, which are in the owner's folders, and nodes that read the caller's prompt or keys.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NewType

from safelight.core.ids import UserId
from safelight.core.node import NodeSchema, Section

Signature = NewType("Signature", bytes)

FileDigest = Callable[[str], str | None]
"""Return the digest of the file that a string names (or anything that changes with its content), ``None`` if it names
no file."""

MAX_DEPTH = 100

_PRIVATE = frozenset({"PROMPT", "EXTRA_PNGINFO", "DYNPROMPT", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"})
"""Hidden inputs that belong to the caller: results of a node that reads them are not shared with other users."""


class UnsignableError(ValueError):
    """The value never equals anything, not even itself: a NaN, or an object that is not plain data."""


class Signer:
    """Signs the calls of one job. Mutable: caches the identity of each node."""

    def __init__(self, *, owner: UserId, file_digest: FileDigest) -> None:
        self._owner_mark = f"|owner:{owner}".encode()
        self._file_digest = file_digest
        self._identities: dict[str, bytes] = {}

    def sign(
        self,
        schema: NodeSchema,
        *,
        call_id: str,
        literals: Mapping[str, Any],
        links: Mapping[str, tuple[Signature | None, int]],
        is_private: bool = False,
        fingerprint: Any = None,
        origin: bytes | None = None,
    ) -> Signature | None:
        """Return the signature, or ``None`` if equality cannot be decided.

        ``links``: for each linked input the source's signature and output index. ``is_private``: a literal is the
        user's own text; a literal that names a file is always private. ``origin`` identifies the position of a call in
        an expansion: literals that are live objects are signed by it, since the same expansion makes the same objects.
        """
        names_file = False

        def file_digest(text: str) -> str | None:
            nonlocal names_file
            found = self._file_digest(text)
            names_file = names_file or found is not None
            return found

        digest = hashlib.sha256(self._identity(schema))
        if schema.not_idempotent or any(i.type == "UNIQUE_ID" for i in schema.inputs):
            digest.update(b"#%d:%s" % (len(call_id), as_bytes(call_id)))
        for name in sorted(links):
            source, output_index = links[name]
            if source is None:
                return None
            digest.update(b"<%d:%s:%d:%s" % (len(name), as_bytes(name), output_index, source))
        try:
            for name in sorted(literals):
                digest.update(b"=%d:%s" % (len(name), as_bytes(name)))
                for part in _literal(literals[name], name, origin, file_digest):
                    digest.update(part)
            if is_private or names_file:
                digest.update(self._owner_mark)
            if schema.has_fingerprint:
                for part in encode(fingerprint):
                    digest.update(part)
        except UnsignableError:
            return None
        return Signature(digest.digest())

    def own(self, signature: Signature) -> Signature:
        """Return the signature of a result that names files of the owner: it is never shared with another user."""
        return Signature(hashlib.sha256(signature + self._owner_mark).digest())

    def _identity(self, schema: NodeSchema) -> bytes:
        found = self._identities.get(schema.name)
        if found is None:
            inputs = ",".join(f"{i.id}:{i.type}" for i in schema.inputs)
            outputs = ",".join(f"{o.type}:{o.is_list}" for o in schema.outputs)
            text = f"{schema.name}|{schema.module}|{schema.input_is_list}|{inputs}|{outputs}".encode()
            private = any(i.section is Section.HIDDEN and i.type in _PRIVATE for i in schema.inputs)
            if schema.is_output or schema.api_node or private:
                text += self._owner_mark
            found = self._identities[schema.name] = hashlib.sha256(text).digest()
        return found


def _literal(value: Any, name: str, origin: bytes | None, file_digest: FileDigest) -> list[bytes]:
    try:
        return list(encode(value, file_digest))
    except UnsignableError:
        if origin is None:
            raise
        return [b"live:" + origin + as_bytes(name)]


def encode(value: Any, file_digest: FileDigest | None = None, *, depth: int = 0) -> Iterator[bytes]:
    """Encode plain data so that unequal values differ. Raises :class:`UnsignableError` for anything else."""
    if depth > MAX_DEPTH:
        raise UnsignableError
    if value is None or value is True or value is False:
        yield f"{value};".encode()
    elif isinstance(value, int):
        yield f"{int(value):x}i;".encode()
    elif isinstance(value, float):
        if math.isnan(value):
            raise UnsignableError
        yield f"{float(value).hex()}f;".encode()
    elif isinstance(value, str):
        digest = file_digest(value) if file_digest is not None else None
        body = as_bytes(value)
        yield b"s%d:%s" % (len(body), body)
        if digest is not None:
            yield f"@{digest};".encode()
    elif isinstance(value, bytes):
        yield b"b%d:%s" % (len(value), value)
    elif isinstance(value, list | tuple):
        yield b"l%d:" % len(value)
        for item in value:
            yield from encode(item, file_digest, depth=depth + 1)
    elif isinstance(value, set | frozenset):
        yield b"S%d:" % len(value)
        yield from sorted(b"".join(encode(item, file_digest, depth=depth + 1)) for item in value)
    elif isinstance(value, Mapping):
        yield b"d%d:" % len(value)
        items = (
            (b"".join(encode(k, depth=depth + 1)), b"".join(encode(v, file_digest, depth=depth + 1)))
            for k, v in value.items()
        )
        for pair in sorted(items):
            yield from pair
    else:
        raise UnsignableError


def as_bytes(text: str) -> bytes:
    """Encode text that may contain half a surrogate pair, as JSON allows and plain UTF-8 does not."""
    return text.encode("utf-8", "surrogatepass")
