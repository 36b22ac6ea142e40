"""A plugin on a server with grpcio's own defaults, whose tool says nothing until it is done."""
import json, os, time, uuid
from concurrent import futures
import grpc
from google.protobuf.duration_pb2 import Duration
from agentd.tool.v1 import registry_pb2 as registry, tool_pb2, types_pb2 as types
from agentd.tool.v1 import registry_pb2_grpc, tool_pb2_grpc

class Quiet(tool_pb2_grpc.ToolServiceServicer):
    def Call(self, request, context):
        time.sleep(json.loads(request.arguments_json)["seconds"])
        yield tool_pb2.CallResponse(result=tool_pb2.CallResult(result_json='{"done":true}'))

schema = '{"type":"object","properties":{"seconds":{"type":"integer"}},"required":["seconds"]}'
wait = types.ToolDescriptor(name="wait", description="Waits.", input_schema_json=schema,
    side_effect="SIDE_EFFECT_READ_ONLY", risk="RISK_LEVEL_LOW", timeout=Duration(seconds=60))
server = grpc.server(futures.ThreadPoolExecutor(8))
tool_pb2_grpc.add_ToolServiceServicer_to_server(Quiet(), server)
here = registry.DirectTransport(endpoint=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
catalog = types.PluginCatalog(plugin="quiet", version="1.0.0", tools=[wait])
me = registry.RegisterRequest(instance_id=str(uuid.uuid4()), catalog=catalog, direct=here)
server.start()
url = os.environ["AGENTD_URL"].removeprefix("http://")
agentd = registry_pb2_grpc.PluginRegistryServiceStub(grpc.insecure_channel(url))
lease = agentd.Register(me).lease_id
while True:
    answer = agentd.Renew(registry.RenewRequest(lease_id=lease))
    time.sleep(answer.renew_interval.ToTimedelta().total_seconds())
