import json, logging, os, time, uuid
from concurrent import futures
import grpc
from agentd.tool.v1 import observation_pb2 as facts, registry_pb2 as registry, tool_pb2, types_pb2 as types
from agentd.tool.v1 import registry_pb2_grpc, tool_pb2_grpc

class Queues(tool_pb2_grpc.ToolServiceServicer):
    def Call(self, request, context):
        queue = facts.EntityRef(kind="Queue", name=json.loads(request.arguments_json)["queue"])
        seen = facts.Observation(signal="queues.backlog", subject=queue, statement=f"7 messages wait in {queue.name}")
        yield tool_pb2.CallResponse(result=tool_pb2.CallResult(result_json='{"waiting":7}', observations=[seen]))

schema = '{"type":"object","properties":{"queue":{"type":"string"}},"required":["queue"]}'
asked = types.Applicability(arguments_template_json='{"queue":"{service}"}', emits=["queues.backlog"])
check = types.ToolDescriptor(name="check_queue", description="Tells how many messages wait for a service.",
    input_schema_json=schema, side_effect="SIDE_EFFECT_READ_ONLY", risk="RISK_LEVEL_LOW", applies=[asked])
server = grpc.server(futures.ThreadPoolExecutor(8))
tool_pb2_grpc.add_ToolServiceServicer_to_server(Queues(), server)
here = registry.DirectTransport(endpoint=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
catalog = types.PluginCatalog(plugin="queues", version="1.0.0", tools=[check])
me = registry.RegisterRequest(instance_id=str(uuid.uuid4()), catalog=catalog, direct=here)
logging.basicConfig()  # What a tool raises is told here, with its line.
server.start()
url = os.environ.get("AGENTD_URL", "http://127.0.0.1:50051").removeprefix("http://")
agentd, lease = registry_pb2_grpc.PluginRegistryServiceStub(grpc.insecure_channel(url)), None
while True:  # Register, keep the lease; register again when agentd was away or knows it no more.
    try: answer = agentd.Renew(registry.RenewRequest(lease_id=lease)) if lease else agentd.Register(me)
    except grpc.RpcError as error: answer = lease = print(error.code(), error.details())
    if answer and not lease: lease = answer.lease_id; print("registered", *answer.verdicts)
    time.sleep(answer.renew_interval.ToTimedelta().total_seconds() if answer else 0.5)
