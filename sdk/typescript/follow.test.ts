// Following over gRPC-Web against an agentd that is played in this process: it cuts behind every
// event, in every way that a stream can end.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { follow } from "./follow.js";
import { AgentService, type StreamEventsResponseSchema } from "./gen/agentd/v1/agent_pb.js";
import { EventSchema } from "./gen/agentd/v1/events_pb.js";

const EVENTS = 6;

type Sent = MessageInitShape<typeof StreamEventsResponseSchema>;
/** What a stream sends behind `after`, before all the rest. */
type Turn = (after: number, signal: AbortSignal) => AsyncGenerator<Sent>;

function event(sequence: number): Sent {
  const value = create(EventSchema, {
    sequence,
    payload: sequence === EVENTS ? { case: "finished", value: {} } : { case: "stepStarted", value: {} },
  });
  return { item: { case: "event", value } };
}

async function* some(after: number, count: number): AsyncGenerator<Sent> {
  for (let n = after + 1; n <= Math.min(after + count, EVENTS); n++) yield event(n);
}

/** The sequences that come out when the streams do as told, and those that were asked behind. */
async function followed(turns: Turn[]): Promise<{ seen: number[]; asked: number[] }> {
  const asked: number[] = [];
  const routes = connectNodeAdapter({
    connect: false,
    grpc: false,
    routes: ({ service }) => {
      service(AgentService, {
        async *streamEvents({ afterSequence }, { signal }) {
          asked.push(afterSequence);
          yield* (turns.shift() ?? ((after) => some(after, EVENTS)))(afterSequence, signal);
        },
      });
    },
  });
  const server = createServer(routes);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const transport = createGrpcWebTransport({ baseUrl: `http://127.0.0.1:${port}` });
  const options = { sleep: async () => {}, silence: 250 };
  try {
    const seen: number[] = [];
    for await (const { sequence } of follow(createClient(AgentService, transport), "1", options)) {
      seen.push(sequence);
    }
    return { seen, asked };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const ALL = [1, 2, 3, 4, 5, 6];

const ENDS: Record<string, (signal: AbortSignal) => Promise<void>> = {
  "ends without the last event": async () => {},
  "is cut": async () => Promise.reject(new ConnectError("cut", Code.Unavailable)),
  "is ended as too slow": async () => Promise.reject(new ConnectError("SLOW_READER", Code.ResourceExhausted)),
  "falls silent": (signal) => new Promise((done) => signal.addEventListener("abort", () => done())),
};

for (const [how, end] of Object.entries(ENDS)) {
  test(`a stream that ${how} is joined without a repeat or a hole, wherever that is`, async () => {
    for (let k = 0; k < EVENTS; k++) {
      const turn: Turn = async function* (after, signal) {
        yield* some(after, k);
        await end(signal);
      };
      assert.deepEqual(await followed([turn]), { seen: ALL, asked: [0, k] });
    }
  });
}

test("what was seen is not repeated and what is missing is asked for", async () => {
  const repeats: Turn = async function* () {
    for (const n of [1, 2, 1, 2, 3]) yield event(n);
  };
  const skips: Turn = async function* () {
    yield event(5);
  };
  assert.deepEqual(await followed([repeats, skips]), { seen: ALL, asked: [0, 3, 3] });
});

test("a refusal ends it", async () => {
  const refuses: Turn = async function* () {
    yield event(1);
    throw new ConnectError("no such investigation", Code.NotFound);
  };
  await assert.rejects(followed([refuses]), /no such investigation/);
});
