"""The key pair of a home, as ssh-keygen would write it: id_ed25519 and id_ed25519.pub.

Only making and reading it back; nothing is signed with it here. Ed25519 as in RFC 8032, section 5.1.5; the
file is OpenSSH's own format (PROTOCOL.key), without a passphrase, as Ollama writes ~/.ollama/id_ed25519.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from pathlib import Path

PRIVATE, PUBLIC = "id_ed25519", "id_ed25519.pub"

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y = 4 * pow(5, -1, _P) % _P
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE = (_X, _Y, 1, _X * _Y % _P)


def public_key(home: Path) -> str:
    """The home's public key, `ssh-ed25519 AAAA…`; the pair is made where there is none. Raises OSError."""
    path = home / PUBLIC
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return _make(home)


def _make(home: Path) -> str:
    seed = os.urandom(32)
    public = _packed("ssh-ed25519", _public_of(seed))
    line = f"ssh-ed25519 {base64.b64encode(public).decode()}"
    handle = os.open(home / PRIVATE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
        file.write(_private_file(seed, public))
    (home / PUBLIC).write_text(line + "\n", "ascii")
    return line


def _public_of(seed: bytes) -> bytes:
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    x, y, z, _ = _times(int.from_bytes(digest, "little"))
    inverse = pow(z, -1, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _times(scalar: int) -> tuple[int, int, int, int]:
    total, point = (0, 1, 1, 0), _BASE
    while scalar:
        if scalar & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        scalar >>= 1
    return total


def _sum(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _packed(*fields: str | bytes) -> bytes:
    data = [field.encode() if isinstance(field, str) else field for field in fields]
    return b"".join(struct.pack(">I", len(one)) + one for one in data)


def _private_file(seed: bytes, public: bytes) -> str:
    check = os.urandom(4)
    inner = check + check + public + _packed(seed + public[-32:], "")
    inner += bytes(range(1, 1 + -len(inner) % 8))
    whole = b"openssh-key-v1\0" + _packed("none", "none", "") + struct.pack(">I", 1) + _packed(public, inner)
    text = base64.b64encode(whole).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])
