// A value that does not print, and the admin token, the one secret the process is given.

import { inspect } from "node:util";

import type { Environment } from "./environment.ts";
import { ConfigError } from "./fault.ts";
import { readFailure, readFileBounded } from "./read-file.ts";

/** Holds a secret so that logging, JSON and inspection show `***`. Only `reveal()` gives it away. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "***";
  }

  toJSON(): string {
    return "***";
  }

  [inspect.custom](): string {
    return "***";
  }
}

const TOKEN = "SWITCHGEAR_ADMIN_TOKEN";
const TOKEN_FILE = "SWITCHGEAR_ADMIN_TOKEN_FILE";
// Sixteen random characters are beyond guessing over a network, and shorter ones are usually words.
const TOKEN_CHARACTERS_MIN = 16;
// An HTTP header of the default size could not carry more.
const TOKEN_FILE_BYTES_MAX = 8192;
// What an `Authorization` header can carry; any other token could never be presented.
const HEADER_SAFE = /^[\x21-\x7e]+$/;

function refuse(name: string, message: string): never {
  throw new ConfigError("environment", [{ path: name, line: 0, column: 0, message }]);
}

function readTokenFile(path: string): string {
  let bytes: Buffer | undefined;
  try {
    bytes = readFileBounded(path, TOKEN_FILE_BYTES_MAX);
  } catch (error) {
    return refuse(TOKEN_FILE, `cannot read ${JSON.stringify(path)}: ${readFailure(error)}`);
  }
  if (bytes === undefined)
    return refuse(TOKEN_FILE, `the file ${JSON.stringify(path)} is too long to be a token`);
  const token = bytes.toString("utf8").replace(/[\r\n]+$/, "");
  if (token === "") refuse(TOKEN_FILE, `the file ${JSON.stringify(path)} is empty`);
  return token;
}

/**
 * The bearer token of the admin interface, from `SWITCHGEAR_ADMIN_TOKEN` or the file that
 * `SWITCHGEAR_ADMIN_TOKEN_FILE` names. `undefined` when neither is set; a `ConfigError` when what is set cannot be
 * used. An empty variable is a fault and not "unset": a token that failed to arrive must be noticed.
 */
export function adminTokenFromEnv(env: Environment): Secret | undefined {
  const direct = env[TOKEN];
  const path = env[TOKEN_FILE];
  if (direct === undefined && path === undefined) return undefined;
  if (direct !== undefined && path !== undefined)
    refuse(TOKEN, `set ${TOKEN} or ${TOKEN_FILE}, not both`);
  if (path === "") refuse(TOKEN_FILE, "is empty; name a file, or unset it");
  if (direct === "") refuse(TOKEN, "is empty; set a token, or unset it");
  const name = direct === undefined ? TOKEN_FILE : TOKEN;
  const token = direct ?? readTokenFile(path ?? "");
  if (!HEADER_SAFE.test(token))
    refuse(
      name,
      "the token may only hold visible ASCII characters, because it travels in an HTTP header",
    );
  if (token.length < TOKEN_CHARACTERS_MIN)
    refuse(name, `the token must have at least ${TOKEN_CHARACTERS_MIN} characters`);
  return new Secret(token);
}
