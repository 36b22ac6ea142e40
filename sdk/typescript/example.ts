// Sends an alert to agentd over gRPC-Web, follows what happens, and prints the report's summary.
// The same code runs in a browser: only the arguments and the output are Node's.
//
//   node out/example.js [--grpc] http://127.0.0.1:50051 [TYPE [SERVICE]]
//
// With --grpc it speaks plain gRPC over HTTP/2, which browsers cannot and Node can.

import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { follow } from "./follow.js";
import { AgentService } from "./gen/agentd/v1/agent_pb.js";

const words = process.argv.slice(2);
const plain = words[0] === "--grpc";
const [url, type = "high_memory", service = "web-app"] = plain ? words.slice(1) : words;
if (url === undefined) {
  console.error("usage: example.js [--grpc] URL [TYPE [SERVICE]]");
  process.exit(2);
}

const transport = plain ? createGrpcTransport({ baseUrl: url }) : createGrpcWebTransport({ baseUrl: url });
const client = createClient(AgentService, transport);
const { investigation } = await client.investigate({
  alert: { type, service },
  // Repeating the request after a broken connection finds the same investigation.
  requestId: crypto.randomUUID(),
  // Comes back at once; the events are followed below.
  wait: { seconds: 0n },
});
if (investigation === undefined) throw new Error("agentd answered without an investigation");

for await (const event of follow(client, investigation.name)) {
  console.log(`${String(event.sequence).padStart(3)}  ${event.summary}`);
  if (event.payload.case === "finished") {
    console.log(`\n${event.payload.value.investigation?.report?.summary ?? "no report"}`);
  }
}
