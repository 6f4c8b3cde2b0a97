// Whom the load test calls: the address that it was given, and nobody else.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { k6 } from "../support/k6.ts";
import { canTellListeners, listenersOf, pidsWith } from "../support/listeners.ts";
import { ROOT, start, temporaryFolder } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";

const skip =
  "Bun" in globalThis ? "k6 is run, whatever starts it; once is enough" : whyNoTools(["k6"]);

const SCRIPT = join(ROOT, "loadtest/super-bowl.ts");
const EXCEPTION = 107;
/** 127.0.0.1, as Linux writes it on machines of either byte order. */
const LOOPBACK = /^(?:0100007F|7F000001):/;

interface Site {
  readonly url: string;
  readonly paths: Set<string>;
}

/** Answers all with a redirection, or with 200. */
async function startSite(t: TestContext, location?: string): Promise<Site> {
  const paths = new Set<string>();
  const server = createServer(({ url = "" }, response) => {
    paths.add(url);
    if (location === undefined) response.writeHead(200);
    else response.writeHead(302, { location });
    response.end();
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths };
}

for (const env of [{}, { GATEWAY: "" }]) {
  test(
    `with GATEWAY ${"GATEWAY" in env ? "empty" : "absent"} nobody is called`,
    { skip },
    async (t) => {
      const folder = temporaryFolder(t);
      const csv = join(folder, "samples.csv");

      const args = ["run", "--quiet", `--out=csv=${csv}`, SCRIPT];
      const { code, stderr } = await k6({ folder, args, env });

      assert.match(stderr, /GATEWAY is missing: -e GATEWAY=/);
      assert.equal(code, EXCEPTION);
      const samples = existsSync(csv) ? readFileSync(csv, "utf8") : "";
      assert.doesNotMatch(samples, /^http_reqs,/m);
    },
  );
}

test("a gateway that points elsewhere sends no load there", { skip }, async (t) => {
  const elsewhere = await startSite(t);
  const gateway = await startSite(t, `${elsewhere.url}/other`);
  const folder = temporaryFolder(t);

  const env = { GATEWAY: gateway.url, SHORT: "1", SCALE: "0.1" };
  const { code, stderr } = await k6({ folder, args: ["run", "--quiet", SCRIPT], env });

  assert.deepEqual(gateway.paths, new Set(["/draftkings/odds"]));
  assert.deepEqual(elsewhere.paths, new Set());
  assert.match(stderr, /gave no good answer; the last was: error status_302/);
  assert.notEqual(code, 0);
});

const skipListeners =
  skip !== false ? skip : canTellListeners ? false : "only Linux tells who listens where";

test(
  "k6's own report is written, and no other machine can read it meanwhile",
  { skip: skipListeners },
  async (t) => {
    const folder = temporaryFolder(t);
    const script = join(ROOT, "scripts/spike.ts");
    const args = ["--short", "--against", "http://127.0.0.1:1", "--to", folder];
    const node = join(ROOT, "node_modules/.bin/node");
    const program = start([node, script, ...args]);
    const k6s = new Set<string>();
    const listeners = new Set<string>();

    while (program.child.exitCode === null && program.child.signalCode === null) {
      for (const pid of pidsWith(`SUMMARY=${folder}`)) {
        k6s.add(pid);
        for (const address of listenersOf(pid)) listeners.add(address);
      }
      await new Promise((done) => setTimeout(done, 50));
    }

    const { stderr } = await program.ended;
    assert.equal(k6s.size, 1, stderr);
    assert.ok(listeners.size > 0);
    for (const address of listeners) assert.match(address, LOOPBACK);
    const page = readFileSync(join(folder, "spike/against/k6-dashboard.html"), "utf8");
    assert.match(page, /<title>k6 report/);
    assert.doesNotMatch(page, /(?:src|href)="?(?:https?:)?\/\//);
  },
);
