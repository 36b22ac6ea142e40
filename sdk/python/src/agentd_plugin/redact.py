"""Masks the common shapes of secrets in text before it leaves a plugin.

The same families as agentd's own masking: a key with a value, a header, a token with a known
beginning, a private key. Names of objects (`secret "x" not found`) are evidence and stay. Masking
twice is masking once. The time is linear in the text: RE2 does not go back.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import re2

MASK: Final = "[REDACTED]"
"""What stands where a secret stood."""

_HARD: Final = (
    "(?:pass(?:word|wd|phrase)|pwd|(?:api|access|secret|private|account|signing|encryption)"
    "[_.-]?key|client[_.-]?secret|(?:auth|access|refresh|session|bearer)[_.-]?token)"
)
"""Words that name a secret wherever they stand before `=` or `:`."""
_SOFT: Final = "(?:secret|token)"
"""Words that also name objects and parts of a language; before a bare `:` the value decides."""

_PROSE: Final = frozenset(
    "a an and are argument authentication cannot expired failed flag for has in incorrect invalid "
    "is must not of option or required requires the to was with wrong".split()
)
"""Words that begin prose rather than being a value: `password: must be set`."""
_ABSENT: Final = frozenset(
    [MASK.lower(), "", *"null nil none undefined empty true false missing unset unknown".split()]
)
"""Values that say there is none."""
_PASSES: Final = 8
"""One rule may bare another's match, so it goes on until nothing changes; a bound on a defect."""

# re2 has no types.
_Match = Any
_Masked = Callable[[_Match], str | None]


def redact(text: str) -> str:
    """`text` with every secret of a known shape masked."""
    for _ in range(_PASSES):
        before, folded = text, text.casefold()
        for needs, shape, masked in _rules():
            if any(word in folded for word in needs):
                text = shape.sub(lambda found, m=masked: m(found) or found.group(0), text)
        if text == before:
            break
    return text


def redact_value(key: str, value: str) -> str:
    """`value`, masked as a whole where `key` says that it is a secret."""
    return MASK if names_secret(key, value) else redact(value)


def redact_json(value: Any) -> Any:
    """A JSON value with its strings masked, each by itself and by the key it stands under."""
    return _redact_under("", value)


def names_secret(key: str, value: str) -> bool:
    """Whether `key` says that `value` is a secret. `secret` alone also names an object."""
    found = _key().search(key)
    if found is None or _is_absent(value):
        return False
    if value.startswith("/") and key.lower().endswith("pwd"):
        return False
    return found.group(1) is not None or not _is_object_name(value)


def _redact_under(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return redact_value(key, value)
    if isinstance(value, list):
        return [_redact_under(key, item) for item in value]
    if isinstance(value, dict):
        # {"name": "DB_PASSWORD", "value": …}: the name stands beside the value, not before it.
        beside = value.get("name", value.get("key"))
        named = beside if isinstance(beside, str) else ""
        return {
            redact(k): _redact_under(named if k == "value" and named else k, v)
            for k, v in value.items()
        }
    return value


@cache
def _rules() -> list[tuple[tuple[str, ...], Any, _Masked]]:
    return [(needs, re2.compile(shape), masked) for needs, shape, masked in _shapes()]


@cache
def _key() -> Any:
    return re2.compile(f"(?i)(?:({_HARD}|token)|{_SOFT})$")


_Shape = tuple[tuple[str, ...], str, _Masked]


def _shapes() -> list[_Shape]:
    """Every shape: words of which one must be there, which is quick to see; the shape itself, of which
    group 1 is kept, 2 is the value, 3 is kept; and what becomes of it."""
    keys = ("passw", "passphrase", "pwd", "key", "secret", "token")
    private = ("private key",)
    name = f"(?:{_HARD}|{_SOFT})"
    key_end = "PRIVATE KEY[A-Z ]*-----"
    return [
        # Private keys, whole, cut off at the end, or with their beginning cut off.
        (
            private,
            rf"-----BEGIN [A-Z0-9 ]*{key_end}(?s:.*?)(?:-----END [A-Z0-9 ]*{key_end}|\z)",
            _whole,
        ),
        (private, rf"(?:[A-Za-z0-9+/=]|\s|\\[nr])*-----END [A-Z0-9 ]*{key_end}", _whole),
        # Headers.
        (
            ("authorization",),
            r"""(?i)((?:authorization)\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|token|digest"""
            r"""|negotiate|apikey)\s+)?)([^\s"',;\\]+)""",
            _authorization,
        ),
        (
            ("bearer", "basic"),
            r"(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/-]{8,}=*)",
            _opaque_value,
        ),
        (("cookie",), r'(?i)((?:set-)?cookie\s*:\s*)([^\r\n"=]*=[^\r\n"]*)', _value),
        # Passwords in URLs and in data source names; a port and a path are no password.
        (
            ("://",),
            r"""(?i)([a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:)"""
            r"""([^\s/"'<>]+|[0-9]*[^\s@/0-9"'<>][^\s@"'<>]*)(@)""",
            _value,
        ),
        (("@",), r"""([A-Za-z0-9_.-]+:)([^\s:@/()"']+)(@(?:tcp|udp|unix)\()""", _value),
        (("-u",), r"""((?:\s-u\s+|--user[ =])[^\s:"']+:)([^\s"']+)""", _value),
        (("identified by",), r"(?i)(identified by(?: password)?\s+')([^']*)(')", _value),
        *_tokens(),
        # A key and a quoted value: JSON, YAML, code; then JSON inside a JSON string.
        (keys, rf"""(?is)({name}\\?["']?\s*(?:=>|[:=]+)\s*")((?:[^"\\]|\\.)*)("|\\?\z)""", _value),
        (
            keys,
            rf"""(?is)({name}\\?["']?\s*(?:=>|[:=]+)\s*')((?:[^'\\]|\\.|'')*)('|\\?\z)""",
            _value,
        ),
        (
            keys,
            rf"""(?is)({name}\\+["']?\s*[:=]\s*\\+["'])(.*?)(\\+["']\s*(?:[,}}\]]|\z)|\z)""",
            _value,
        ),
        # A key and a bare value: settings, query strings, command lines, YAML, headers.
        (
            keys,
            rf"""(?i)({name}\\?["']?\s*=+\s*)((?:[^\s"'`,;&<>\\=]|\\[^nrt"'])"""
            rf"""(?:[^\s"'`,;&<>\\]|\\[^nrt"'])*)""",
            _value,
        ),
        (keys, rf"""(?i)(--[a-z-]*{name}\s+)([^\s"'=-][^\s"']*)""", _worded_value),
        (keys, rf"""(?i)({_HARD}\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)""", _worded_value),
        (keys, rf"""(?i)({_SOFT}\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)""", _opaque_value),
    ]


def _tokens() -> list[_Shape]:
    """Tokens that are known by how they begin."""
    known = [
        "A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}",
        r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}",
        "gh[pousr]_[A-Za-z0-9]{16,}",
        "github_pat_[A-Za-z0-9_]{20,}",
        "glpat-[A-Za-z0-9_-]{16,}",
        "xox[a-z]-[A-Za-z0-9-]{8,}",
        "xapp-[A-Za-z0-9-]{10,}",
        r"hooks\.slack\.com/services/[A-Za-z0-9/]+",
        "[srp]k_(?:live|test)_[A-Za-z0-9]{8,}",
        "AIza[A-Za-z0-9_-]{30,}",
        "npm_[A-Za-z0-9]{30,}",
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}",
        "dckr_pat_[A-Za-z0-9_-]{16,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    ]
    words = (
        "akia asia abia acca eyj ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox xapp- slack.com"
    )
    words += " k_live_ k_test_ aiza npm_ hvs. hvb. hvr. dckr_pat_ sg."
    begins = tuple(words.split())
    return [
        (begins, rf"\b(?:{'|'.join(known)})", _whole),
        (("sk-",), r"(\bsk-)([A-Za-z0-9_-]{20,})", _mixed_value),
        (("aws",), r"""(?i)(aws[^\r\n]{0,30}?[\s"'=:])([A-Za-z0-9/+]{40})""", _mixed_value),
    ]


def _group(found: _Match, number: int) -> str:
    return (found.group(number) or "") if number <= found.re.groups else ""


def _put_mask(found: _Match) -> str:
    return f"{_group(found, 1)}{MASK}{_group(found, 3)}"


def _whole(_: _Match) -> str | None:
    return MASK


def _value(found: _Match) -> str | None:
    """Masks unless there is no value or it is only the name of one."""
    key, value = _group(found, 1), _group(found, 2)
    is_path = value.startswith("/") and key.rstrip(" =:\"'").lower().endswith("pwd")
    return None if _is_absent(value) or is_path else _put_mask(found)


def _worded_value(found: _Match) -> str | None:
    return None if _group(found, 2).rstrip(".!)").lower() in _PROSE else _value(found)


def _authorization(found: _Match) -> str | None:
    before = _group(found, 1)
    has_scheme = before[-1:].isspace() and not before.rstrip().endswith((":", "="))
    return _value(found) if has_scheme else _opaque_value(found)


def _opaque_value(found: _Match) -> str | None:
    value = _group(found, 2)
    hidden = not _is_absent(value) and _is_opaque(value) and not _is_object_name(value)
    return _put_mask(found) if hidden else None


def _mixed_value(found: _Match) -> str | None:
    value = _group(found, 2)
    kinds = (str.isupper, str.islower, str.isdigit)
    is_mixed = all(any(kind(c) for c in value) for kind in kinds)
    return _put_mask(found) if is_mixed else None


def _is_absent(value: str) -> bool:
    is_reference = value.startswith(("${", "$(", "{{")) and all(
        c.isascii() and (c.isalnum() or c in "_. ") for c in value.rstrip("})")[2:]
    )
    return is_reference or not any(c.isalnum() for c in value) or value.lower() in _ABSENT


def _is_opaque(value: str) -> bool:
    """Whether a word is hardly one of a language: digits, or long and of mixed case."""
    if len(value) >= 8 and any(c.isdigit() for c in value):
        return True
    return len(value) >= 12 and any(map(str.isupper, value)) and any(map(str.islower, value))


def _is_object_name(value: str) -> bool:
    """Whether it reads as the name of an object: lower case, parts of which most are words."""
    if len(value) > 253 or not all(
        c in "-./" or (c.isascii() and (c.islower() or c.isdigit())) for c in value
    ):
        return False
    parts = value.replace(".", "-").replace("/", "-").split("-")
    return sum(len(part) for part in parts if part.isalpha()) * 2 >= len(value)
