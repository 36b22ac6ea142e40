"""The connection to agentd. A new one is dialled when the old one is doubted; the old one is closed
once nobody uses it, as a call may still run over it."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc import aio

from .limits import MAX_WIRE
from .options import Options, target

log = logging.getLogger("agentd_plugin")

_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MAX_WIRE),
    ("grpc.max_send_message_length", MAX_WIRE),
    # Without its own pool a new channel to an old address is the old connection, pauses and all.
    ("grpc.use_local_subchannel_pool", 1),
    # Pauses between tries are the lease's to make.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A proxy of the environment is for the web; agentd is dialled as it was named.
    ("grpc.enable_http_proxy", 0),
]


class Connection:
    """The channel of now."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._users: dict[aio.Channel, int] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._channel = self._dial()

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[aio.Channel]:
        """The channel, which stays open until it was given back."""
        channel = self._channel
        self._users[channel] += 1
        try:
            yield channel
        finally:
            self._users[channel] -= 1
            self._close_unused(channel)

    def redial(self) -> None:
        """Dials anew, addresses looked up anew."""
        old, self._channel = self._channel, self._dial()
        self._close_unused(old)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every request carries."""
        token = self._options.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        """Closes everything."""
        for channel in list(self._users):
            await channel.close()
        self._users.clear()

    def _close_unused(self, channel: aio.Channel) -> None:
        if channel is not self._channel and self._users.get(channel) == 0:
            del self._users[channel]
            task = asyncio.ensure_future(channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _dial(self) -> aio.Channel:
        address, secure = target(self._options.agentd_url)
        if secure:
            channel = aio.secure_channel(address, self._credentials(), options=_OPTIONS)
        else:
            channel = aio.insecure_channel(address, options=_OPTIONS)
        self._users[channel] = 0
        return channel

    def _credentials(self) -> grpc.ChannelCredentials:
        tls, roots = self._options.tls, None
        try:
            roots = self._options.ca.read_bytes() if self._options.ca else _system_roots()
            if tls is not None:
                return grpc.ssl_channel_credentials(
                    roots, tls.key.read_bytes(), tls.cert.read_bytes()
                )
        except OSError as why:
            log.error("a certificate for agentd cannot be read: %s", why)
        return grpc.ssl_channel_credentials(roots)


def _system_roots() -> bytes | None:
    """The authorities that this machine believes; gRPC would take a list of its own."""
    believed = ssl.create_default_context().get_ca_certs(binary_form=True)
    pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in believed)
    return pem.encode() or None
