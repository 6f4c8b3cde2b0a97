// Steady calls of one address until the standard input ends; then says on standard output, as JSON, how each ended. Half of the callers
// keep their connections, and half open one for each call: both kinds stand in front of a real gateway.

import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const [url = "", callers = "4", pauseMs = "20"] = process.argv.slice(2);

const counts = new Map<string, number>();
const over = new AbortController();
process.stdin.on("end", () => over.abort()).resume();

/** The status, or the code of what went wrong. */
function call(agent: Agent): Promise<string> {
  return new Promise((done) => {
    const asked = request(url, { agent, timeout: 10_000 }, (answer) => {
      answer.on("error", (error: NodeJS.ErrnoException) => done(`body: ${error.code}`));
      answer.on("end", () => {
        const reason = answer.headers["x-switchgear-reason"];
        done([answer.statusCode, reason].filter((part) => part !== undefined).join(" "));
      });
      answer.resume();
    });
    asked.on("timeout", () => asked.destroy(Object.assign(new Error(), { code: "TIMEOUT" })));
    asked.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    asked.end();
  });
}

async function work(at: number): Promise<void> {
  const agent = new Agent({ keepAlive: at % 2 === 0, maxSockets: 1 });
  while (!over.signal.aborted) {
    const end = await call(agent);
    counts.set(end, (counts.get(end) ?? 0) + 1);
    await delay(Number(pauseMs));
  }
  agent.destroy();
}

console.log("calling");
await Promise.all(Array.from({ length: Number(callers) }, (_, at) => work(at)));
console.log(JSON.stringify(Object.fromEntries(counts)));
