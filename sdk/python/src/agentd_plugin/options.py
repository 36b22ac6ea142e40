"""Settings of a plugin process, and where they come from. The only place that reads the
environment. All faults are reported together; tokens are never printed."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_HTTPS: Final = "https://"
_MOST_SLOTS: Final = 64


class PluginError(Exception):
    """A plugin could not start, or agentd does not want it. `exit_code` is what a process ends
    with."""

    exit_code = 1


class SettingsError(PluginError):
    """Settings are wrong, or the plugin is put together wrongly; all faults together."""

    exit_code = 2

    def __init__(self, faults: list[str], what: str = "the plugin's settings are wrong") -> None:
        super().__init__(f"{what}: {'; '.join(faults)}")
        self.faults = faults


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM for serving TLS: our certificates, their key, and who vouches for the certificate
    that agentd must show (none asks it for none). Read anew for each connection."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class Options:
    """Settings of one plugin process; see README.md for the variables."""

    agentd_url: str = "http://127.0.0.1:50051"
    ca: Path | None = None
    """Who vouches for an agentd at https://; the system when unset. Read at each dial."""
    token: str = field(default="", repr=False)
    """Registration token; empty means none."""
    relay: bool = False
    """Whether to open slots towards agentd instead of listening."""
    listen: str = "127.0.0.1:0"
    advertise: str = ""
    """What agentd dials; empty derives it from what is listened on."""
    tls: TlsFiles | None = None
    capacity: int = 8
    """Calls taken at once; in relay also the slots."""
    drain_timeout: float = 25.0
    """Seconds that running calls may take after the plugin was told to stop."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> "Options":
        """Reads the variables; an empty one counts as unset.

        Raises SettingsError with every wrong one.
        """
        source = os.environ if variables is None else variables
        faults: list[str] = []
        given = {name: value for name, value in source.items() if value}

        def fault(name: str, how: str) -> None:
            faults.append(f"{name}: {how}")

        url = given.get("AGENTD_URL", cls.agentd_url)
        if not is_url(url):
            fault("AGENTD_URL", f"{url!r} is not http://HOST:PORT or https://HOST:PORT")
        mode = given.get("PLUGIN_MODE", "direct")
        if mode not in ("direct", "relay"):
            fault("PLUGIN_MODE", f"{mode!r} is neither direct nor relay")
        listen = given.get("PLUGIN_LISTEN", cls.listen)
        if not _is_address(listen):
            fault("PLUGIN_LISTEN", f"{listen!r} is not ADDRESS:PORT, such as 127.0.0.1:0")
        ca = _file(given, "AGENTD_CA_FILE", fault)
        options = cls(
            agentd_url=url,
            ca=ca,
            token=_token(given, fault),
            relay=mode == "relay",
            listen=listen,
            advertise=given.get("PLUGIN_ADVERTISE", ""),
            tls=_tls(given, fault),
            capacity=_slots(given, fault),
        )
        if faults:
            raise SettingsError(faults)
        return options


Fault = Callable[[str, str], None]


def _file(given: Mapping[str, str], name: str, fault: Fault) -> Path | None:
    if name not in given:
        return None
    path = Path(given[name])
    try:
        path.read_bytes()
    except OSError as why:
        fault(name, f"cannot read {path}: {why.strerror}")
    return path


def _tls(given: Mapping[str, str], fault: Fault) -> TlsFiles | None:
    cert = _file(given, "PLUGIN_TLS_CERT", fault)
    key = _file(given, "PLUGIN_TLS_KEY", fault)
    client_ca = _file(given, "PLUGIN_TLS_CLIENT_CA", fault)
    if (cert is None) != (key is None):
        fault("PLUGIN_TLS_CERT", "goes with PLUGIN_TLS_KEY; give both")
    if cert is None or key is None:
        if client_ca is not None:
            fault("PLUGIN_TLS_CLIENT_CA", "wants PLUGIN_TLS_CERT and PLUGIN_TLS_KEY beside it")
        return None
    return TlsFiles(cert, key, client_ca)


def _token(given: Mapping[str, str], fault: Fault) -> str:
    token = given.get("AGENTD_PLUGIN_TOKEN", "")
    if not token and "AGENTD_PLUGIN_TOKEN_FILE" in given:
        path = given["AGENTD_PLUGIN_TOKEN_FILE"]
        try:
            token = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as why:
            fault("AGENTD_PLUGIN_TOKEN_FILE", f"cannot read {path}: {type(why).__name__}")
    token = token.strip()
    if not all("!" <= c <= "~" for c in token):
        fault("AGENTD_PLUGIN_TOKEN", "has characters that a header cannot carry")
    return token


def _slots(given: Mapping[str, str], fault: Fault) -> int:
    text = given.get("PLUGIN_SLOTS", "8")
    slots = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not 1 <= slots <= _MOST_SLOTS:
        fault("PLUGIN_SLOTS", f"{text!r} is not a number from 1 to {_MOST_SLOTS}")
    return slots


def is_url(url: str) -> bool:
    """Whether it is http:// or https:// with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port != 0)
    except ValueError:
        return False


def target(url: str) -> tuple[str, bool]:
    """What gRPC dials for `url`, and whether by TLS."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return f"{host}:{parts.port or (443 if secure else 80)}", secure


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        return False
    try:
        ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return host.startswith("[") == (":" in host)


def advertised(options: Options, port: int) -> str:
    """What agentd is told to dial: the setting, the very address when it names one interface, else
    the port alone, so that agentd takes the address it sees."""
    host = options.listen.rpartition(":")[0]
    place = options.advertise
    if not place:
        unspecified = ipaddress.ip_address(host.strip("[]")).is_unspecified
        place = f":{port}" if unspecified else f"{host}:{port}"
    if options.tls is not None and not place.startswith(_HTTPS):
        place = _HTTPS + place
    return place


def is_supervised() -> bool:
    """Whether a supervisor holds the other end of stdin, so that its end means the parent is gone."""
    return os.environ.get("AGENTD_SUPERVISED") == "1"
