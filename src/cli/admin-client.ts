// Talks to the admin API of a running Switchgear, and turns its answers into sentences and exit codes.

import { userInfo } from "node:os";
import { adminTokenFromEnv } from "../config/secret.ts";
import type { Environment } from "../config/environment.ts";
import { CommandError, EXIT } from "./exit-codes.ts";

const URL_DEFAULT = "http://127.0.0.1:9464";

/** An admin API that takes longer is as good as unreachable to a person who waits. */
const ANSWER_MS_MAX = 10_000;

export interface AdminClient {
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

export function adminClient(env: Environment, url?: string): AdminClient {
  const base = serverUrl(env, url);
  const token = adminTokenFromEnv(env);
  const actor = actorName(env);

  const request = async (path: string, init: RequestInit): Promise<unknown> => {
    const headers = new Headers(init.headers);
    headers.set("x-switchgear-actor", actor);
    if (token !== undefined) headers.set("authorization", `Bearer ${token.reveal()}`);
    let response: Response;
    try {
      response = await fetch(new URL(path, base), {
        ...init,
        headers,
        redirect: "error",
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
    } catch (error) {
      const why = causeOf(error);
      throw new CommandError(
        EXIT.unreachable,
        `no Switchgear answers at ${base.origin} (${why}); is it running, and is ${url === undefined ? "SWITCHGEAR_URL" : "--url"} right?`,
      );
    }
    return readAnswer(response, token === undefined);
  };

  return {
    get: (path) => request(path, { method: "GET" }),
    post: (path, body) =>
      request(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
  };
}

/** What lies behind "fetch failed": the last in the chain of causes that has something to say. */
function causeOf(error: unknown): string {
  let said = String(error);
  let at: unknown = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth += 1) {
    const { code } = at as NodeJS.ErrnoException;
    // Of several addresses that were tried each has its own; the code is of the last.
    said = at.message || (code ?? said);
    at = at.cause ?? (at instanceof AggregateError ? at.errors.at(-1) : undefined);
  }
  return said;
}

async function readAnswer(response: Response, isWithoutToken: boolean): Promise<unknown> {
  const text = await response.text();
  const body = parseJson(text);
  if (response.ok && body !== undefined) return body;
  const message = errorMessage(body) ?? `the server answered ${response.status}`;
  switch (response.status) {
    case 400:
      // A denied reset is `{error}`; a problem says that the order was not understood.
      throw new CommandError(isProblem(body) ? EXIT.wrongUse : EXIT.refused, message);
    case 401:
      throw new CommandError(EXIT.unauthorised, `${message} ${tokenAdvice(isWithoutToken)}`);
    case 403:
      throw new CommandError(EXIT.unauthorised, message);
    default:
      throw new CommandError(EXIT.failed, message);
  }
}

function isProblem(body: unknown): boolean {
  return typeof body === "object" && body !== null && "type" in body;
}

function tokenAdvice(isWithoutToken: boolean): string {
  return isWithoutToken
    ? "(SWITCHGEAR_ADMIN_TOKEN is not set, nor is SWITCHGEAR_ADMIN_TOKEN_FILE)"
    : "(it was read from SWITCHGEAR_ADMIN_TOKEN or SWITCHGEAR_ADMIN_TOKEN_FILE)";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The API's errors are `{error}` or problem details. */
function errorMessage(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  for (const key of ["detail", "error", "title"]) {
    const value = (body as Record<string, unknown>)[key];
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

function serverUrl(env: Environment, given: string | undefined): URL {
  const text = given ?? env["SWITCHGEAR_URL"] ?? URL_DEFAULT;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new CommandError(
    EXIT.wrongUse,
    `${given === undefined ? "SWITCHGEAR_URL" : "--url"} must be an http:// or https:// URL such as ${URL_DEFAULT}`,
  );
}

/** Whoever types the command is named in the audit. Header values hold printable ASCII only. */
function actorName(env: Environment): string {
  const name = env["SWITCHGEAR_ACTOR"] ?? env["SUDO_USER"] ?? env["USER"] ?? systemUser();
  return name.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 128) || "cli";
}

function systemUser(): string {
  try {
    const { username, uid } = userInfo();
    // What Bun 1.4.5 answers whenever the environment names nobody.
    return username === "unknown" ? `uid ${uid}` : username;
  } catch {
    // A container may run as a user id without a name.
    return "cli";
  }
}
