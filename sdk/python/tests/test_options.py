"""Settings, and what is dialled and advertised."""

from pathlib import Path

import pytest

from agentd_plugin import Options, SettingsError, TlsFiles
from agentd_plugin.options import advertised, target


def test_nothing_set_means_the_loopback_and_a_free_port() -> None:
    options = Options.from_environment({})
    assert options == Options()
    assert (options.agentd_url, options.listen) == ("http://127.0.0.1:50051", "127.0.0.1:0")
    assert Options.from_environment({"PLUGIN_MODE": "", "AGENTD_URL": ""}) == Options()


def test_a_token_is_trimmed_and_never_printed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" s3cret-token\n")
    for variables in (
        {"AGENTD_PLUGIN_TOKEN": " s3cret-token\n"},
        {"AGENTD_PLUGIN_TOKEN_FILE": str(file)},
    ):
        options = Options.from_environment(variables)
        assert options.token == "s3cret-token"
        assert "s3cret" not in repr(options)
    with pytest.raises(SettingsError, match="header") as raised:
        Options.from_environment({"AGENTD_PLUGIN_TOKEN": "s3cret\nX: y"})
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("slots", ["0", "65", "-1", "x", "８", "1e1", "9999"])
def test_slots_outside_of_1_to_64_are_wrong(slots: str) -> None:
    with pytest.raises(SettingsError, match="PLUGIN_SLOTS"):
        Options.from_environment({"PLUGIN_SLOTS": slots})


@pytest.mark.parametrize("url", ["x", "http://", "ftp://h:1", "http://h:99999", "http://[::1"])
def test_what_is_no_url_is_wrong(url: str) -> None:
    with pytest.raises(SettingsError, match="AGENTD_URL"):
        Options.from_environment({"AGENTD_URL": url})


@pytest.mark.parametrize("listen", ["here", "127.0.0.1", "127.0.0.1:x", "::1:0", "1.2.3.4:70000"])
def test_what_is_no_address_is_wrong(listen: str) -> None:
    with pytest.raises(SettingsError, match="PLUGIN_LISTEN"):
        Options.from_environment({"PLUGIN_LISTEN": listen})


def test_what_is_dialled() -> None:
    assert target("http://127.0.0.1:50051") == ("127.0.0.1:50051", False)
    assert target("https://agentd.tools") == ("agentd.tools:443", True)
    assert target("http://[::1]:7") == ("[::1]:7", False)


def test_a_wildcard_address_is_advertised_by_its_port_alone() -> None:
    tls = TlsFiles(Path("c"), Path("k"))
    for advertise, listen, expected in [
        ("", "0.0.0.0:0", ":7001"),
        ("", "[::]:0", ":7001"),
        ("", "127.0.0.1:0", "127.0.0.1:7001"),
        ("pods.tools:9", "0.0.0.0:0", "pods.tools:9"),
    ]:
        options = Options(advertise=advertise, listen=listen)
        assert advertised(options, 7001) == expected
        secure = Options(advertise=advertise, listen=listen, tls=tls)
        assert advertised(secure, 7001) == f"https://{expected}"
