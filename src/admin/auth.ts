// Who may change something: whoever holds the token. There is no default token, and without one
// nothing can be changed. The token is never logged and never repeated.

import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { Secret } from "../config/secret.ts";
import { problem } from "./answers.ts";

const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

/** Compares digests, which have one length, so that neither the time nor the length tells anything. */
export function isAdminToken(value: string, token: Secret): boolean {
  return timingSafeEqual(sha256(value), sha256(token.reveal()));
}

/**
 * Whether a field holds the token: as it is, in any field; in `Authorization` in any spelling, too: whatever the
 * scheme, beside other parameters, joined with a second line, or in the Base64 of `Basic`. `name` in lower case.
 */
export function holdsAdminToken(name: string, value: string, token: Secret): boolean {
  const secret = token.reveal();
  if (value.includes(secret)) return true;
  if (name !== "authorization") return false;
  return (value.match(BASE64) ?? []).some((text) =>
    Buffer.from(text, "base64").toString("latin1").includes(secret),
  );
}

const BASE64 = /[\w+/-]{8,}/g;

function sha256(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}

/** Lets a request through that carries the token as `Authorization: Bearer …`. */
export function requireToken(token: Secret | undefined): MiddlewareHandler {
  return async (context, next) => {
    if (token === undefined) {
      return problem(
        403,
        "no_token_configured",
        "Changes are switched off",
        "No admin token is configured, so nothing can be changed here. Set SWITCHGEAR_ADMIN_TOKEN, or SWITCHGEAR_ADMIN_TOKEN_FILE to a file that holds it, to at least 16 characters, and restart.",
      );
    }
    const given = BEARER.exec(context.req.header("authorization") ?? "")?.[1];
    if (given === undefined) {
      return problem(
        401,
        "token_missing",
        "Token needed",
        "Send the admin token as: Authorization: Bearer TOKEN",
        { "www-authenticate": 'Bearer realm="switchgear"' },
      );
    }
    if (!isAdminToken(given, token)) {
      return problem(401, "token_wrong", "Wrong token", "This is not the admin token.", {
        "www-authenticate": 'Bearer realm="switchgear", error="invalid_token"',
      });
    }
    await next();
    return undefined;
  };
}
