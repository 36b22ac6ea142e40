"""A client of agentd from the .proto files alone: lists tools, investigates, reads the stream from
every place in it. Fails with a sentence; prints what it saw as one JSON object.

Usage: client.py HOST:PORT ALERT_AS_JSON
"""

import json
import sys

import grpc
from google.protobuf import duration_pb2, json_format

from agentd.v1 import agent_pb2, agent_pb2_grpc, control_pb2, control_pb2_grpc, resources_pb2


def main(address: str, alert: str) -> None:
    channel = grpc.insecure_channel(address)
    agent = agent_pb2_grpc.AgentServiceStub(channel)
    catalog = control_pb2_grpc.CatalogServiceStub(channel)

    tools = catalog.ListTools(control_pb2.ListToolsRequest()).tools
    assert tools, "no tools are listed"
    for tool in tools:
        assert tool.ref.digest.startswith("sha256:"), f"{tool.name} has no digest"
        assert tool.descriptor.description, f"{tool.name} says nothing of itself"

    request = agent_pb2.InvestigateRequest(
        alert=json_format.Parse(alert, resources_pb2.Alert()), wait=duration_pb2.Duration(seconds=120)
    )
    found = agent.Investigate(request, timeout=150).investigation
    assert found.HasField("report"), f"no report in state {found.state}"

    def events(after: int) -> list[bytes]:
        asked = agent_pb2.StreamEventsRequest(name=found.name, after_sequence=after)
        items = agent.StreamEvents(asked, timeout=60)
        return [i.event.SerializeToString(deterministic=True) for i in items if i.HasField("event")]

    whole = events(0)
    assert len(whole) == found.last_sequence, f"{len(whole)} events of {found.last_sequence}"
    for after in range(len(whole) + 1):
        assert events(after) == whole[after:], f"the events after {after} are not those after {after}"
    try:
        events(len(whole) + 5)
        raise AssertionError("a place beyond the end was accepted")
    except grpc.RpcError as refusal:
        assert refusal.code() == grpc.StatusCode.OUT_OF_RANGE, refusal

    causes = [(c.category, c.culprit.name) for c in found.report.root_causes]
    seen = {"tools": [t.name for t in tools], "events": len(whole), "causes": causes}
    seen["steps"] = [step.tool for step in found.report.plan.steps]
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
