"""The gRPC server of a plugin: its tools, health and reflection."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from .failure import Failure
from .instance import Instance
from .limits import MAX_WIRE
from .options import SettingsError, TlsFiles
from .waiting import within
from .wire import _pool, tool_pb2, tool_pb2_grpc

log = logging.getLogger("agentd_plugin")

TOOL_SERVICE: Final = "agentd.tool.v1.ToolService"
_REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MAX_WIRE),
    ("grpc.max_send_message_length", MAX_WIRE),
    # Two plugins on one fixed port would share its calls in silence.
    ("grpc.so_reuseport", 0),
    # A client that pings a quiet connection is careful, not hostile.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]
_TELL: Final = 1.0
"""Seconds that telling a change of health may take: a watcher that does not read holds it up."""


class Server:
    """What listens. Not ready until told so."""

    def __init__(self, instance: Instance) -> None:
        self._health = health.aio.HealthServicer()
        self._server = aio.server(options=_OPTIONS)
        tool_pb2_grpc.add_ToolServiceServicer_to_server(_Tools(instance), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection()

    async def start(self, listen: str, tls: TlsFiles | None) -> int:
        """Listens; returns the port. Raises SettingsError or OSError."""
        await self.set_ready(False)
        try:
            if tls is None:
                port = self._server.add_insecure_port(listen)
            else:
                port = self._server.add_secure_port(listen, _credentials(tls))
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(f"cannot listen on {listen}: the address is taken or not of this machine")
        await self._server.start()
        return int(port)

    async def set_ready(self, ready: bool) -> None:
        """Tells everyone who watches."""
        kinds = health_pb2.HealthCheckResponse
        status = kinds.SERVING if ready else kinds.NOT_SERVING
        for service in ("", TOOL_SERVICE):
            try:
                await within(_TELL, self._health.set(service, status))
            except asyncio.TimeoutError:
                log.warning("somebody watches the health of the plugin and does not read it")

    async def stop(self, grace: float) -> None:
        """Takes no more, and ends what is open after `grace` seconds."""
        await self._server.stop(grace)

    def _add_reflection(self) -> None:
        names = (TOOL_SERVICE, health.SERVICE_NAME, *_REFLECTION)
        servicer = reflection.aio.ReflectionServicer(names, pool=_pool.POOL)
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        # The messages of v1 are those of v1alpha under another name.
        for name in _REFLECTION:
            methods = {"ServerReflectionInfo": handler}
            generic = grpc.method_handlers_generic_handler(name, methods)
            self._server.add_generic_rpc_handlers((generic,))


class _Tools:
    """The service over an instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def GetCatalog(self, _request: Any, _context: Any) -> tool_pb2.GetCatalogResponse:
        """What a plugin offers is no secret: people look at it with bare grpcurl."""
        return tool_pb2.GetCatalogResponse(catalog=self._instance.catalog)

    async def Call(self, request: tool_pb2.CallRequest, context: Any) -> None:
        """One call; its handler is cancelled when the caller leaves."""
        metadata: Iterable[tuple[str, Any]] = context.invocation_metadata() or ()
        refused = self._instance.refused_token(metadata)
        if refused:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, refused)
        try:
            running = self._instance.begin(request)
        except Failure as refusal:
            await context.write(self._instance.refusal(refusal))
            return
        await running.tell(context.write)


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    def read() -> Any:
        authority = tls.client_ca.read_bytes() if tls.client_ca is not None else None
        pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authority)

    def changed() -> Any:
        try:
            return read()
        except OSError as why:
            log.error("certificates were not read again, those before count: %s", why)
            return None  # those before stay in force

    try:
        first = read()
    except OSError as why:
        raise SettingsError([f"PLUGIN_TLS_CERT: {why}"]) from why
    wants = tls.client_ca is not None
    return grpc.dynamic_ssl_server_credentials(first, changed, require_client_authentication=wants)
