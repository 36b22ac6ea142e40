"""What agentd's answer to Register means: go on with what was accepted, or stop and say why and how
to mend it. Decided on codes and typed details, never on text."""

import logging
from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from .options import PluginError
from .wire import registry_pb2 as wire

log = logging.getLogger("agentd_plugin")

PROTOCOL: Final = 1
"""The one revision of the contract that this SDK speaks."""

_REMEDIES: Final = {
    grpc.StatusCode.PERMISSION_DENIED: "give the plugin a registration token for its name in "
    "AGENTD_PLUGIN_TOKEN or AGENTD_PLUGIN_TOKEN_FILE, or register under another name",
    grpc.StatusCode.FAILED_PRECONDITION: "use an agentd and an agentd-plugin that speak the same "
    "revision of agentd.tool.v1",
    grpc.StatusCode.INVALID_ARGUMENT: "mend what it names, in the plugin or in its settings",
    grpc.StatusCode.ALREADY_EXISTS: "raise the version of what was changed, or stop the plugin that "
    "holds the name",
}
_REMEDIES[grpc.StatusCode.UNAUTHENTICATED] = _REMEDIES[grpc.StatusCode.PERMISSION_DENIED]


NO_RELAY: Final = "use a newer agentd, or PLUGIN_MODE=direct"


class Refused(PluginError):
    """agentd refused the plugin for a reason that trying again does not mend."""

    def __init__(self, url: str, reason: str, remedy: str) -> None:
        super().__init__(f"agentd at {url} refused the plugin: {reason}; {remedy}")


def check(response: wire.RegisterResponse, url: str) -> None:
    """Logs every rejection and warning. Raises Refused when nothing is left to serve."""
    if response.protocol not in (0, PROTOCOL):
        raise Refused(
            url,
            f"it chose revision {response.protocol} of agentd.tool.v1, this plugin speaks {PROTOCOL}",
            "use a newer agentd-plugin or an older agentd",
        )
    advise(response.warnings)
    accepted, rejections = 0, []
    for verdict in response.verdicts:
        tool = verdict.tool.tool
        for warning in verdict.warnings:
            log.warning("agentd has advice on tool %s: %s", tool, warning)
        if verdict.accepted or verdict.quarantined:
            accepted += 1
            if not verdict.accepted:
                log.warning("a person must accept tool %s before it is called", tool)
        else:
            rejections.append(f"{tool}: {_rejection(verdict)}")
    if rejections and not accepted:
        raise Refused(url, f"it accepted none of the tools: {'; '.join(rejections)}", "mend them")
    for rejection in rejections:
        log.error("agentd rejected a tool, the others are served: %s", rejection)


def advise(warnings: Iterable[str]) -> None:
    """Logs what agentd advises: on signals and causes, and on what keeps it from calling."""
    for warning in warnings:
        log.warning("agentd has advice: %s", warning)


def _rejection(verdict: wire.ToolVerdict) -> str:
    if not verdict.HasField("rejection"):
        return "no reason given"
    failure = verdict.rejection
    said = [f"{failure.reason} {failure.message}".strip()]
    said += _fields(failure.violations, failure.message)
    return "; ".join(said)


def _fields(violations: Iterable[Any], message: str) -> list[str]:
    """Each wrong field that the message does not tell already."""
    all_wrong = (f"{wrong.field}: {wrong.description}" for wrong in violations)
    return [wrong for wrong in all_wrong if wrong not in message]


def refusal(error: aio.AioRpcError, url: str, relay: bool = False) -> Refused | None:
    """The error to stop with, or nothing when trying again may help."""
    remedy = _REMEDIES.get(error.code())
    if relay and error.code() is grpc.StatusCode.UNIMPLEMENTED:
        remedy = NO_RELAY
    return Refused(url, _reason(error), remedy) if remedy is not None else None


def _reason(error: aio.AioRpcError) -> str:
    """agentd's words with its typed details: the reason for machines and each wrong field."""
    code, said = error.code().name, [str(error.details())]
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # details that do not go with the code
        status = None
    for detail in status.details if status is not None else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            code = f"{code}, {info.reason}"
        elif detail.Unpack(bad):
            said += _fields(bad.field_violations, said[0])
    said[0] = f"{said[0]} ({code})"
    return "; ".join(said)
