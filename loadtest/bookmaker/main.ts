// Command line of the simulated bookmaker: npm run bookmaker -- --port 9101 --name draftkings

import { parseArgs } from "node:util";

import type { BookmakerOptions } from "./server.ts";
import { startBookmaker } from "./server.ts";

const USAGE = `usage: npm run bookmaker -- [options]
  --port N         port, 0 takes a free one (9101)
  --host ADDRESS   address to listen on (127.0.0.1)
  --name NAME      name in the answers (draftkings)
  --workers N      requests worked on at once (20)
  --service-ms N   mean service time in milliseconds (20)
  --seed N         seed of service times and errors (1)
  --slow-body-ms N how long a body takes that trickles (5000)
`;

const EXIT_FAILED = 1;
const EXIT_WRONG_USE = 2;

function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

// Anything but a plain decimal becomes NaN, which the server refuses with the range.
function numeric(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

function readOptions(): Required<BookmakerOptions> {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: "9101" },
        host: { type: "string", default: "127.0.0.1" },
        name: { type: "string", default: "draftkings" },
        workers: { type: "string", default: "20" },
        "service-ms": { type: "string", default: "20" },
        seed: { type: "string", default: "1" },
        "slow-body-ms": { type: "string", default: "5000" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    return {
      port: numeric(values.port),
      host: values.host,
      name: values.name,
      workers: numeric(values.workers),
      serviceMs: numeric(values["service-ms"]),
      seed: numeric(values.seed),
      slowBodyMs: numeric(values["slow-body-ms"]),
    };
  } catch (error) {
    return fail(
      `bookmaker: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`,
      EXIT_WRONG_USE,
    );
  }
}

function explainStart(error: unknown, options: { host: string; port: number }): never {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  if (error instanceof RangeError) return fail(`bookmaker: ${message}`, EXIT_WRONG_USE);
  if (code === "EADDRINUSE")
    return fail(
      `bookmaker: port ${options.port} on ${options.host} is in use; choose another with --port`,
      EXIT_FAILED,
    );
  return fail(
    `bookmaker: cannot listen on ${options.host}:${options.port} (${code ?? message})`,
    EXIT_FAILED,
  );
}

const options = readOptions();
const bookmaker = await startBookmaker(options).catch((error: unknown) =>
  explainStart(error, options),
);
function stop(): void {
  bookmaker.close().then(
    () => process.exit(0),
    () => process.exit(EXIT_FAILED),
  );
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
// A reader that is gone is no reason to end.
process.stdout.on("error", () => {});
// Last: whoever reads this line may stop us at once.
process.stdout.write(`bookmaker ${options.name} on ${bookmaker.url}\n`);
