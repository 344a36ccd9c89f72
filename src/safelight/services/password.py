"""Passwords as argon2id hashes, slow and memory-intensive on purpose: call these in a thread, a few at a time."""

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1, type=Type.ID)
_DUMMY_HASH = "$argon2id$v=19$m=65536,t=3,p=1$V0CiNWGKG+69Pv4cSS65Gw$IAWfH5It3nJr4dt0sJOdRFCjXDAaC9g1zK6Q6cD2CHI"
"""Verified for an unknown name, so that it takes as long as a wrong password."""


def hash_password(password: str) -> str:
    return _HASHER.hash(password.encode("utf-8", "surrogatepass"))


def is_password(password: str, password_hash: str | None) -> bool:
    try:
        _HASHER.verify(password_hash or _DUMMY_HASH, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
