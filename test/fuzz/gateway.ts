// A gateway in a process of its own, for the fuzzer: takes questions on standard input, a lane's name a
// line, and answers each with what has been settled in that lane once nothing is under way there.

import { createInterface } from "node:readline";
import type { Outcome } from "../../src/core/outcome.ts";
import type { AccessEntry, GatewayUpstream } from "../../src/gateway/ports.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";
import { plant } from "./planted.ts";
import {
  REWRITTEN_BASE,
  RIG_OPERATION,
  rewrittenName,
  type LaneReport,
  type GatewaySettings,
} from "./protocol.ts";

/** For a call that hangs; longer than its deadline. */
const QUIET_MS_MAX = 2_500;
const LOOK_MS = 5;

const settings: GatewaySettings = JSON.parse(process.argv[2] ?? "");
const undo = plant(settings.plant);

class Lane {
  underWay = 0;
  readonly outcomes: Outcome[] = [];
  readonly access: AccessEntry[] = [];
}

const lanes = new Map<string, Lane>();
const faults: string[] = [];
const upstreams = new Map<string, GatewayUpstream>();
for (const [name, url] of Object.entries(settings.upstreams)) {
  const lane = new Lane();
  add(lane, name, new URL(url), false);
  add(lane, rewrittenName(name), new URL(REWRITTEN_BASE, url), true);
}

function add(lane: Lane, name: string, url: URL, isRewritten: boolean): void {
  lanes.set(name, lane);
  upstreams.set(name, {
    name,
    url,
    rewriteRedirects: isRewritten,
    rewriteCookies: isRewritten,
    deadlineMs: settings.deadlineMs,
    status429: "neutral",
    // Long: the two transports let connections grow old in ways of their own.
    connection: { ageMsMax: 3_600_000 },
    operations: [],
    guard: {
      tryAcquire({ operation }) {
        lane.underWay += 1;
        return {
          admitted: true,
          settle(outcome) {
            lane.underWay -= 1;
            if (operation !== RIG_OPERATION) lane.outcomes.push(undo(outcome));
          },
        };
      },
    },
  });
}

const gateway = await startGateway({
  host: "127.0.0.1",
  port: 0,
  upstreams,
  maxBodyBytes: settings.maxBodyBytes,
  maxHeaderBytes: 16_384,
  methods: ["PROPFIND"],
  scheduler: systemClock,
  onAccess(entry) {
    if (entry.upstream === null || entry.operation === RIG_OPERATION) return;
    lanes.get(entry.upstream)?.access.push(entry);
  },
  onError: (error) => faults.push(error instanceof Error ? (error.stack ?? error.message) : "?"),
  version: "1.2.3",
});

async function report(name: string): Promise<void> {
  const lane = lanes.get(name);
  if (lane === undefined) return;
  const untilMs = performance.now() + QUIET_MS_MAX;
  while (lane.underWay > 0 && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  const answer: LaneReport = {
    lane: name,
    underWay: lane.underWay,
    verdicts: lane.outcomes
      .splice(0)
      .map(({ outcome, timeout, retryAfterMs }) =>
        [timeout === true ? "timeout" : outcome, retryAfterMs ?? []].flat().join(" "),
      ),
    access: lane.access
      .splice(0)
      .map(({ status, outcome, reason }) => `${status} ${outcome} ${reason ?? ""}`.trim()),
    faults: faults.splice(0),
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

createInterface({ input: process.stdin })
  .on("line", (name) => void report(name))
  // Nobody is left to ask.
  .on("close", () => process.exit(0));
process.stdout.write(`${JSON.stringify({ port: gateway.port })}\n`);
