"""TLS both ways, with certificates that are exchanged while the plugin runs."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from fake import FakeAgentd, agentd, serving, until
from grpc import aio

from agentd_plugin import Plugin, TlsFiles
from agentd_plugin.wire import tool_pb2 as wire
from agentd_plugin.wire import tool_pb2_grpc


def make() -> Plugin:
    plugin = Plugin("trial", "1.0.0")

    @plugin.tool(description="Says what it was told.")
    def echo(text: str = "") -> str:
        return text

    return plugin


def write(authority: trustme.CA, folder: Path) -> TlsFiles:
    issued = authority.issue_cert("127.0.0.1")
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    (folder / "cert.pem").write_bytes(b"".join(c.bytes() for c in issued.cert_chain_pems))
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    return TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")


async def catalog(endpoint: str, authority: trustme.CA, own: trustme.LeafCert | None) -> Any:
    roots = authority.cert_pem.bytes()
    pair: tuple[bytes | None, bytes | None] = (None, None)
    if own is not None:
        chain = b"".join(c.bytes() for c in own.cert_chain_pems)
        pair = (own.private_key_pem.bytes(), chain)
    credentials = grpc.ssl_channel_credentials(roots, *pair)
    # A channel of its own pool: another's connection must not be taken.
    options = [("grpc.use_local_subchannel_pool", 1)]
    address = endpoint.removeprefix("https://")
    async with aio.secure_channel(address, credentials, options=options) as channel:
        return await tool_pb2_grpc.ToolServiceStub(channel).GetCatalog(
            wire.GetCatalogRequest(), timeout=5
        )


async def test_a_plugin_serves_tls_asks_for_a_certificate_and_reads_its_files_again(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    tls = write(authority, tmp_path)
    async with agentd() as fake, serving(make(), fake, tls=tls):
        await until(lambda: fake.registrations, "a registration")
        endpoint = fake.registrations[0].direct.endpoint
        assert endpoint.startswith("https://127.0.0.1:")
        own = authority.issue_cert("agentd")
        assert (await catalog(endpoint, authority, own)).catalog.plugin == "trial"
        for stranger in (None, trustme.CA().issue_cert("agentd")):
            with pytest.raises(aio.AioRpcError) as raised:
                await catalog(endpoint, authority, stranger)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        newer = trustme.CA()
        write(newer, tmp_path)
        answer = await catalog(endpoint, newer, newer.issue_cert("agentd"))
        assert answer.catalog.plugin == "trial"


async def test_an_agentd_at_https_is_believed_by_its_authority_and_shown_a_certificate(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    tls = write(authority, tmp_path)
    pair = [(tls.key.read_bytes(), tls.cert.read_bytes())]
    roots = authority.cert_pem.bytes()
    credentials = grpc.ssl_server_credentials(pair, roots, require_client_auth=True)

    class Secure(FakeAgentd):
        @property
        def url(self) -> str:
            return f"https://127.0.0.1:{self.port}"

    fake = Secure()
    await fake.start(credentials)
    try:
        async with serving(make(), fake, tls=tls, ca=tmp_path / "ca.pem", relay=True):
            await until(lambda: fake.parked(), "a slot is parked by TLS")
    finally:
        await fake.stop()
