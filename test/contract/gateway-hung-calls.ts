// A program: 600 hung calls to one upstream, one call to another. Exits 0 when that one is answered
// within a second. It needs a process of its own, since Bun reads how many requests `fetch` may
// have in flight from the environment at the start, and `bun test` does not read it at all.

import { connect } from "node:net";
import { eventually, raw, startBench, startUpstream } from "./gateway-harness.ts";

const HUNG_CALLS = 600;

const hung = await startUpstream(() => {});
const healthy = await startUpstream((_request, response) => response.end("ok"));
const { gateway } = await startBench({ url: healthy.url }, {}, [
  { name: "hung", url: hung.url, deadlineMs: 20_000 },
]);
const sockets = Array.from({ length: HUNG_CALLS }, () => {
  const socket = connect(gateway.port, "127.0.0.1", () =>
    socket.write("GET /hung/x HTTP/1.1\r\nHost: a\r\n\r\n"),
  );
  socket.on("error", () => {});
  return socket;
});
await eventually(() => hung.requests.length === HUNG_CALLS, "every hung call reaches its upstream");

const answer = await raw(gateway.port, "GET /draftkings/x HTTP/1.1\r\nHost: a\r\n\r\n", 1_000);

for (const socket of sockets) socket.destroy();
// One waits on without its caller, to see whether the upstream answers at all.
await eventually(() => gateway.inFlight() === 1, "all calls but one are settled");
const again = await raw(gateway.port, "GET /draftkings/x HTTP/1.1\r\nHost: a\r\n\r\n", 1_000);
await gateway.stop(0);
hung.close();
healthy.close();
if (answer.status !== 200 || again.status !== 200) {
  console.error(`answered ${answer.status}, and ${again.status} after the hung calls had left`);
  process.exitCode = 1;
}
