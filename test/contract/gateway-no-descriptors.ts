// A program, to be started with few descriptors: uses them up, and then asks the gateway by a connection
// that is open already. Exits 0 when the call was refused for want of resources, and nobody blamed.

import { closeSync, openSync } from "node:fs";
import { connect } from "node:net";
import { eventually, startBench, startUpstream } from "./gateway-harness.ts";

const upstream = await startUpstream((_request, response) => response.end("ok"));
const { gateway, guard, access } = await startBench({ url: upstream.url });
let seen = "";
const socket = connect(gateway.port, "127.0.0.1");
socket.on("data", (chunk) => (seen += chunk.toString("latin1")));
await new Promise((resolve) => socket.once("connect", resolve));
// What a runtime opens for its first call is open then: Bun ends without it (1.4.5).
socket.write("GET /draftkings/x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
await eventually(() => seen.endsWith("ok"), "the gateway answers");
for (const each of upstream.sockets) each.destroy();
// Descriptors are free a moment after their sockets are closed, on either side.
await new Promise((resolve) => setTimeout(resolve, 200));
guard.settled.length = 0;

const held: number[] = [];
let code: unknown;
while (code === undefined) {
  try {
    held.push(openSync("/dev/null", "r"));
  } catch (error) {
    code = (error as { readonly code?: unknown }).code;
  }
}
seen = "";
socket.write("GET /draftkings/x HTTP/1.1\r\nHost: a\r\n\r\n");
await eventually(() => seen.includes("\r\n\r\n"), "the call is answered");
for (const descriptor of held) closeSync(descriptor);
const refused = seen;
seen = "";
socket.write("GET /draftkings/x HTTP/1.1\r\nHost: a\r\n\r\n");
await eventually(() => seen.includes("\r\n\r\n"), "the call is answered again");
socket.destroy();
await gateway.stop(0);
upstream.close();
const isRight =
  code === "EMFILE" &&
  refused.startsWith("HTTP/1.1 503") &&
  refused.includes("out_of_resources") &&
  seen.startsWith("HTTP/1.1 200") &&
  guard.settled.map(({ outcome }) => outcome).join(" ") === "ignored ok" &&
  access.at(-2)?.status === 503;
if (!isRight) {
  console.error(code, refused, seen, guard.settled, access);
  process.exitCode = 1;
}
