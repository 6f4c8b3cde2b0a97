// The page of a fleet whose replicas do not hear of each other, followed while its alert fires; see breakers.test.ts.
// A rollout that moves them to another Redis is half through: the second gateway has the new one, the first has not.

import { after, before, test } from "node:test";
import { startRedis, type TestContext } from "../support/redis.ts";
import { startStack, type Stack } from "../pager/stack.ts";
import { whyNoTools } from "../tools/available.ts";
import { whyNoRedis } from "../tools/redis.ts";
import { onCall } from "./on-call.ts";

const skip =
  "Bun" in globalThis ? "one runner starts all stacks: Node" : whyNoTools() || whyNoRedis();

const STORE = 'store: { kind: redis, url: "${REDIS_URL}", replica: "${REPLICA}" }\n';

let stack: Stack;
const { fires, ends, diagnose, mitigate, verify, order } = onCall(() => stack);
const ending: (() => unknown)[] = [];
const context: TestContext = { after: (fn) => void ending.push(fn) };

before(async () => {
  if (skip !== false) return;
  const old = await startRedis(context);
  stack = await startStack({
    config: (demo) => `${demo}${STORE}`,
    env: { REDIS_URL: old.url, REPLICA: "gateway-1" },
    msMax: 300_000,
  });
});

after(async () => {
  if (skip !== false) return;
  await stack.stop();
  for (const end of ending) await end();
});

test("CircuitBreakerFleetSplit", { skip }, async () => {
  const other = await startRedis(context);
  const REPLICA = "gateway-2";
  const moved = await stack.startReplica({ env: { REDIS_URL: other.url, REPLICA } });
  const env = { SWITCHGEAR_URLS: `${stack.gateway.adminUrl} ${moved.adminUrl}` };
  await order("trip", "draftkings");
  await fires("CircuitBreakerFleetSplit", { bookmaker: "draftkings" });
  await diagnose("CircuitBreakerFleetSplit", env);
  await mitigate("CircuitBreakerFleetSplit", env);

  await moved.stop();
  await stack.startReplica({ env: { REPLICA } });
  await verify("CircuitBreakerFleetSplit", env);
  await ends("CircuitBreakerFleetSplit");
});
