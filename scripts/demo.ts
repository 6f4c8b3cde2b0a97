// The demo: two simulated bookmakers, and Switchgear in front of them. Ctrl-C drains and ends it.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { startBookmaker, type Bookmaker } from "../loadtest/bookmaker/server.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** The gateway may take seven seconds to stop; a demo that outlives that has lost its child. */
const STOP_MS_MAX = 7000;

const { env } = process;

// Whoever reads what is said here may be gone (`make run 2>&1 | head -1`): the demo goes on, and does not
// leave its server alone.
process.stderr.on("error", () => {});

function fail(sentence: string): never {
  process.stderr.write(`demo: ${sentence}\n`);
  process.exit(1);
}

function portFrom(name: string, otherwise: number): number {
  const text = env[name];
  if (text === undefined) return otherwise;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_534) return port;
  return fail(`${name} must be a port from 1 to 65534, not ${JSON.stringify(text)}`);
}

async function bookmaker(name: string, port: number): Promise<Bookmaker> {
  try {
    return await startBookmaker({ name, port });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "EADDRINUSE") throw error;
    return fail(
      `port ${port} for the bookmaker ${name} is in use by another program; set SWITCHGEAR_DEMO_BASE_PORT to another`,
    );
  }
}

function instructions(): string {
  const call = `curl -i http://127.0.0.1:${gatewayPort}/draftkings/odds`;
  return `
  gateway     http://127.0.0.1:${gatewayPort}/draftkings/…, /fanduel/…, /feeds/…
  admin       http://127.0.0.1:${adminPort}/          status page, /metrics, /readyz
  bookmakers  ${draftkings.url}  ${fanduel.url}
  admin token ${token}

  Try, in another terminal, in this folder:

  1. call:   ${call}
  2. break:  curl -s -X PUT -d '{"status":500}' ${draftkings.url}/__control; for i in $(seq 10); do curl -s -o /dev/null -w '%{http_code} ' http://127.0.0.1:${gatewayPort}/draftkings/odds; done; ${call}
  3. reset:  curl -s -X DELETE ${draftkings.url}/__control; SWITCHGEAR_URL=http://127.0.0.1:${adminPort} SWITCHGEAR_ADMIN_TOKEN=${token} npm run --silent switchgear -- reset draftkings --reason 'back again' --force; ${call}

  Ctrl-C ends it.
`;
}

const { values } = parseArgs({ options: { runtime: { type: "string", default: "node" } } });
const gatewayPort = portFrom("SWITCHGEAR_PORT", 8080);
const adminPort = portFrom("SWITCHGEAR_ADMIN_PORT", 9464);
const basePort = portFrom("SWITCHGEAR_DEMO_BASE_PORT", 9101);
const token = env["SWITCHGEAR_ADMIN_TOKEN"] ?? randomBytes(24).toString("base64url");
const draftkings = await bookmaker("draftkings", basePort);
const fanduel = await bookmaker("fanduel", basePort + 1);

const server = spawn(
  join(ROOT, "node_modules/.bin", values.runtime),
  [join(ROOT, "src/cli/main.ts"), "serve", "--config", join(ROOT, "examples/demo.yaml")],
  {
    // Logs and the database belong to where the demo was started.
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...env,
      SWITCHGEAR_ADMIN_TOKEN: token,
      SWITCHGEAR_PORT: String(gatewayPort),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      // Bun reads it once, before any of our code runs: a hung bookmaker must not starve the others.
      BUN_CONFIG_MAX_HTTP_REQUESTS: env["BUN_CONFIG_MAX_HTTP_REQUESTS"] ?? "65000",
      DRAFTKINGS_URL: draftkings.url,
      FANDUEL_URL: fanduel.url,
    },
  },
);

let isStopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (isStopping) return;
    isStopping = true;
    // From a terminal the server got it too; the second one would make it hurry.
    if (signal !== "SIGINT" || !process.stdin.isTTY) server.kill("SIGTERM");
    setTimeout(() => server.kill("SIGKILL"), STOP_MS_MAX).unref();
  });
}

/** Ready when the admin answers; a server that ends before has said why. */
async function whenReady(): Promise<boolean> {
  while (server.exitCode === null && server.signalCode === null) {
    try {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`, {
        headers: { connection: "close" },
      });
      await answer.body?.cancel();
      if (answer.ok) return true;
    } catch {
      await new Promise((done) => {
        setTimeout(done, 50);
      });
    }
  }
  return false;
}

const ended = new Promise<number>((done) => {
  server.on("close", (code) => done(code ?? 1));
});
if (await whenReady()) process.stderr.write(instructions());
const code = await ended;
await Promise.all([draftkings.close(), fanduel.close()]);
// What a reader that is stuck has not read by now is not waited for.
process.exit(code);
