"""The tokenizer that belongs to a file: a tensor in the file itself, or a file beside it."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from safelight.models.tokenizers.byte_pairs import tekken
from safelight.models.tokenizers.json_file import JsonTokenizer
from safelight.models.tokenizers.sentence_pieces import SentencePieces
from safelight.models.tokenizers.tokenizer import MissingTokenizer, Tokenizer
from safelight.models.weights import Identity, WeightFile, Weights, identity_of

TENSORS: dict[str, Callable[[bytes], Tokenizer]] = {
    "spiece_model": SentencePieces,
    "tekken_model": tekken,
    "tokenizer_json": lambda data: JsonTokenizer(data.decode()),
}
"""Tensors with the bytes of a vocabulary, in files that ComfyUI's makers packed."""
BESIDE: dict[str, Callable[[bytes], Tokenizer]] = {
    "tokenizer.json": lambda data: JsonTokenizer(data.decode()),
    "tekken.json": tekken,
    "tokenizer.model": SentencePieces,
    "spiece.model": SentencePieces,
}
"""Files with a vocabulary. One that is named after the model (``llama.tokenizer.json`` for ``llama.safetensors``) comes
before one without."""


def tokenizer_of(weights: Weights, *, title: str, otherwise: Callable[[], Tokenizer] | None = None) -> Tokenizer:
    """The tokenizer of a text encoder: in its file, beside it, or ``otherwise`` that of this package. Raises
    :class:`MissingTokenizer`, which says which file to add where."""
    file = next(iter(weights.sources.values())).file
    for name in TENSORS:
        if name in file.shapes:
            return _in_file(file.identity, name)
    candidates = [file.path.with_name(f"{prefix}{name}") for name in BESIDE for prefix in (f"{file.path.stem}.", "")]
    for path in candidates:
        if path.is_file():
            return _beside(identity_of(path), path.name, file.path.name)
    if otherwise is not None:
        return otherwise()
    raise MissingTokenizer(
        f"{file.path.name!r} has no vocabulary in it; add the {' or '.join(BESIDE)} of {title} to its folder, named "
        f"{file.path.stem + '.tokenizer.json'!r} or the like"
    )


@lru_cache(maxsize=4)
def _in_file(identity: Identity, name: str) -> Tokenizer:
    from safelight.models.weights import weight_file

    file: WeightFile = weight_file(Path(identity[0]))
    with file.opened() as get_tensor:
        data = get_tensor(name).numpy().tobytes()
    return _made(TENSORS[name], data, f"{name!r} in {file.path.name!r}")


@lru_cache(maxsize=4)
def _beside(identity: Identity, name: str, model: str) -> Tokenizer:
    make = next(make for ending, make in BESIDE.items() if name.endswith(ending))
    return _made(make, Path(identity[0]).read_bytes(), f"{name!r} beside {model!r}")


def _made(make: Callable[[bytes], Tokenizer], data: bytes, what: str) -> Tokenizer:
    try:
        return make(data)
    except ValueError as error:
        raise MissingTokenizer(f"{what} cannot be read: {error}") from None
