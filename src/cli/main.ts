#!/usr/bin/env node
// The command line. Answers go to standard output, sentences about failures to standard error.

import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { ConfigError } from "../config/fault.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { OPERATOR_MODES } from "../core/events.ts";
import { HISTORY_LIMIT_MAX } from "../pipeline/ports.ts";
import { standardError, tellPeople } from "../telemetry/log/standard-output.ts";
import { adminClient } from "./admin-client.ts";
import { historyCommand, statusCommand } from "./breaker-commands.ts";
import { checkCommand } from "./check.ts";
import { CommandError, EXIT } from "./exit-codes.ts";
import { explainCommand } from "./explain.ts";
import { modeCommand, resetCommand, tripCommand } from "./orders.ts";
import { print } from "./print.ts";
import { serveCommand } from "./serve.ts";
import { verifyHistoryCommand } from "./verify-history.ts";
import { packageVersion } from "./version.ts";
import { watchCommand } from "./watch.ts";

const { env } = process;

const URL_OPTION = "admin address of the server; each replica has its own";

const TRIP_HELP = `
A breaker that is tripped already stays as it is, and the answer says since when, by whom and why: exit code
0 when somebody holds it by hand, 3 when it tripped by itself and --hold is not given.
`;

const RESET_HELP = `
One that is closed already is told as such, exit code 0. Of several each is tried and listed: exit code 1 when
any failed, else 3 when any was refused.
`;

const HISTORY_HELP = `
With --verify each row is held against the hash it was written with, and against the row before it: exit code 1
when one was changed, deleted, put in or moved since. It cannot see that the newest were cut off.
`;

const WATCH_HELP = `
What is tripped stands first. On a terminal tripped is red and what comes back or is in another mode yellow,
unless NO_COLOR is set. A server that stops answering is told of, and asked again.
`;

const SERVER_HELP = `
Environment:
  SWITCHGEAR_URL               admin address of the server when --url is not given
                               (default http://127.0.0.1:9464)
  SWITCHGEAR_ADMIN_TOKEN       token for trip and reset, or
  SWITCHGEAR_ADMIN_TOKEN_FILE  a file that holds it`;

const SERVE_HELP = `
Environment:
  SWITCHGEAR_CONFIG            configuration file when --config is not given
  SWITCHGEAR_PORT              gateway port, over the configuration's
  SWITCHGEAR_ADMIN_PORT        admin port, over the configuration's
  SWITCHGEAR_ADMIN_TOKEN       token that trip and reset ask for, or
  SWITCHGEAR_ADMIN_TOKEN_FILE  a file that holds it; without either both are refused`;

function program(): Command {
  const root = new Command("switchgear")
    .description("Circuit breakers with their meters, alarms and switches.")
    .version(packageVersion())
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      `
Exit codes:
  0  done
  1  failed
  2  wrong use or configuration
  3  refused: a reset in the cooldown, a trip without --hold of what tripped by itself
  4  no server answers
  5  not authorised: no token, a wrong one, or a server that takes none`,
    )
    .configureOutput({ writeOut: print, writeErr: (text) => standardError().write(text) })
    // Wrong use is exit code 2, and commander's own is 1.
    .exitOverride();

  root
    .command("serve")
    .description("run the gateway and the admin API")
    .option("-c, --config <file>", "configuration file (default switchgear.yaml)")
    .addHelpText("after", SERVE_HELP)
    .action((options: { config?: string }) => serveCommand(options.config, env));

  root
    .command("check")
    .description("validate a configuration file; every fault is listed")
    .argument("[file]", "configuration file (default switchgear.yaml)")
    .option("--schema", "print the JSON Schema of the configuration instead")
    .option("--json", "for programs")
    .action((file: string | undefined, options) => checkCommand(file, options, env));

  root
    .command("status")
    .description("show all breakers, or one")
    .argument("[name]", "upstream")
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", SERVER_HELP)
    .action((name: string | undefined, options) =>
      statusCommand(adminClient(env, options.url), name, options),
    );

  root
    .command("trip")
    .description("stop all traffic to an upstream until somebody resets it")
    .argument("<name>", "upstream")
    .requiredOption("-r, --reason <text>", "why, for the audit")
    .option("--hold", "what tripped by itself, too: it neither probes nor recovers from now on")
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", `${TRIP_HELP}${SERVER_HELP}`)
    .action((name: string, options) => tripCommand(adminClient(env, options.url), name, options));

  root
    .command("reset")
    .description("let traffic to upstreams through again")
    .argument("[names...]", "upstreams")
    .requiredOption("-r, --reason <text>", "why, for the audit")
    .option("-f, --force", "inside the cooldown too")
    .option(
      "--all-tripped",
      "all that is tripped or without an endpoint, but for what is held by hand",
    )
    .option("--except <name>", "not this one; may be given again", collect)
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", `${RESET_HELP}${SERVER_HELP}`)
    .action((names: readonly string[], options) =>
      resetCommand(adminClient(env, options.url), names, options),
    );

  root
    .command("mode")
    .description(
      "let all calls through: shadow (reports, refuses nothing), forced-closed (learns nothing), normal",
    )
    .argument("<name>", "upstream")
    .addArgument(new Argument("<mode>", "what to set").choices(OPERATOR_MODES))
    .requiredOption("-r, --reason <text>", "why, for the audit")
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", SERVER_HELP)
    .action((name: string, mode: string, options) =>
      modeCommand(adminClient(env, options.url), name, mode, options),
    );

  root
    .command("explain")
    .description("say why a breaker is as it is, what would change it, and what to do next")
    .argument("<name>", "upstream")
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", SERVER_HELP)
    .action((name: string, options) =>
      explainCommand(adminClient(env, options.url), name, options),
    );

  root
    .command("watch")
    .description("show all breakers as they change; without a terminal a line for each change")
    .option("-i, --interval <seconds>", "between two looks, 0.2 to 3600", interval, 2)
    .option("-n, --count <looks>", "end after so many", looks)
    .option("-u, --url <address>", URL_OPTION)
    .addHelpText("after", `${WATCH_HELP}${SERVER_HELP}`)
    .action((options) => watchCommand(adminClient(env, options.url), options));

  root
    .command("history")
    .description("show who tripped and reset what, newest first")
    .argument("[name]", "upstream")
    .option("-n, --limit <count>", `at most this many, 1 to ${HISTORY_LIMIT_MAX}`, historyLimit, 20)
    .addOption(
      new Option("--verify", "tell instead whether it still says what was written").conflicts(
        "limit",
      ),
    )
    .option("-u, --url <address>", URL_OPTION)
    .option("--json", "for programs")
    .addHelpText("after", `${HISTORY_HELP}${SERVER_HELP}`)
    .action((name: string | undefined, options) => {
      const client = adminClient(env, options.url);
      return options.verify === true
        ? verifyHistoryCommand(client, name, options)
        : historyCommand(client, name, options);
    });

  return root;
}

function historyLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= HISTORY_LIMIT_MAX) return limit;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${HISTORY_LIMIT_MAX}.`);
}

function interval(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.2 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError("It must be a number of seconds from 0.2 to 3600.");
}

function looks(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("It must be a whole number from 1 on.");
}

function collect(name: string, before: readonly string[] = []): readonly string[] {
  return [...before, name];
}

/** Says what went wrong, and answers the exit code. */
function explain(error: unknown): number {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
  const isKnown = error instanceof CommandError || error instanceof ConfigError;
  const text = isKnown || error instanceof InvalidOptionsError ? error.message : describe(error);
  tellPeople(text);
  if (error instanceof CommandError) return error.exitCode;
  return isKnown || error instanceof InvalidOptionsError ? EXIT.wrongUse : EXIT.failed;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}
