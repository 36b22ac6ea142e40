// The events of one investigation over as many connections as it takes. A stream that breaks, falls
// silent or ends without the last event is taken up behind the newest event seen, so that what comes
// out is numbered upwards, without a repeat and without a hole, and ends with `finished`.

import { Code, ConnectError, type Client } from "@connectrpc/connect";
import type { AgentService } from "./gen/agentd/v1/agent_pb.js";
import type { Event } from "./gen/agentd/v1/events_pb.js";

export interface Following {
  /** Begins behind this sequence; 0 is the first event. */
  readonly after?: number;
  /** Ends the following; the investigation goes on. */
  readonly signal?: AbortSignal;
  /** How long a stream may say nothing, in milliseconds: agentd says something every 15 s. */
  readonly silence?: number;
  /** Waits for so many milliseconds; for tests. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;
const SHORTEST_PAUSE = 20;
const SILENCE = 45_000;

// What a break looks like; everything else is a refusal that trying again does not mend.
const BREAKS: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.ResourceExhausted, // SLOW_READER: whoever comes back is served again.
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
]);

export async function* follow(
  client: Client<typeof AgentService>,
  name: string,
  options: Following = {},
): AsyncGenerator<Event, void, void> {
  const sleep = options.sleep ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
  let after = options.after ?? 0;
  let pause = FIRST_PAUSE;
  while (options.signal?.aborted !== true) {
    const attempt = new Attempt(options.signal, options.silence ?? SILENCE);
    try {
      const request = { name, afterSequence: after };
      for await (const { item } of client.streamEvents(request, { signal: attempt.signal })) {
        attempt.heard();
        pause = FIRST_PAUSE;
        if (item.case !== "event" || item.value.sequence <= after) continue;
        // Something is missing: asked again, agentd may have it.
        if (item.value.sequence !== after + 1) break;
        after = item.value.sequence;
        yield item.value;
        if (item.value.payload.case === "finished") return;
      }
    } catch (fault) {
      if (!BREAKS.has(ConnectError.from(fault).code)) throw fault;
    } finally {
      attempt.over();
    }
    await sleep(Math.max(SHORTEST_PAUSE, Math.random() * pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** One stream: given up when it is silent for too long, or when nobody follows any more. */
class Attempt {
  readonly #control = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #leave = (): void => this.#control.abort();

  constructor(
    private readonly outer: AbortSignal | undefined,
    private readonly silence: number,
  ) {
    outer?.addEventListener("abort", this.#leave, { once: true });
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#leave, this.silence);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener("abort", this.#leave);
    this.#control.abort();
  }
}
