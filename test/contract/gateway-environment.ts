// A program: one call to an HTTP and one to an HTTPS upstream, in an environment given by its
// parent, since runtimes read proxies and trusted certificates from it at their start. Prints
// what came of the calls as JSON. Arguments: the certificate's file and its key's.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { listen, raw, startBench, startUpstream } from "./gateway-harness.ts";

const [certFile = "", keyFile = ""] = process.argv.slice(2);
const plain = await startUpstream((_request, response) => response.end("plain"));
const secureRequests: (string | undefined)[] = [];
const secure = createServer(
  { cert: readFileSync(certFile), key: readFileSync(keyFile) },
  (request, response) => {
    secureRequests.push(request.headers.host);
    response.end("secure");
  },
);
secure.on("tlsClientError", () => {});
const securePort = await listen(secure);
const { gateway, guard } = await startBench({ name: "plain", url: plain.url }, {}, [
  { name: "secure", url: `https://localhost:${securePort}` },
]);

const overHttp = await raw(gateway.port, "GET /plain/x HTTP/1.1\r\nHost: a\r\n\r\n");
const overTls = await raw(gateway.port, "GET /secure/x HTTP/1.1\r\nHost: a\r\n\r\n");

await gateway.stop(0);
plain.close();
secure.close();
secure.closeAllConnections();
console.log(
  JSON.stringify({
    plain: overHttp.status,
    secure: overTls.status,
    secureReason: overTls.headers.get("x-switchgear-reason")?.[0] ?? null,
    secureHosts: secureRequests.map((host) => host === `localhost:${securePort}`),
    outcomes: guard.settled.map(({ outcome }) => outcome),
  }),
);
