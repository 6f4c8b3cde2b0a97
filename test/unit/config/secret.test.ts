import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { format, inspect } from "node:util";

import { ConfigError } from "../../../src/config/fault.ts";
import { adminTokenFromEnv, Secret } from "../../../src/config/secret.ts";

const TOKEN = "0123456789abcdef";
const folder = mkdtempSync(join(tmpdir(), "switchgear-secret-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function refusal(env: Record<string, string>): string {
  try {
    adminTokenFromEnv(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return assert.fail("accepted");
}

test("a secret shows itself only when asked", () => {
  const secret = new Secret("hunter2");

  assert.equal(secret.reveal(), "hunter2");
  const shown = [
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ a: [secret] }),
  ];
  shown.push(format("%s %o %O %j", secret, secret, secret, secret));
  shown.push(inspect(secret, { showHidden: true }), JSON.stringify(Object.entries(secret)));
  for (const text of shown) assert.ok(!text.includes("hunter2"), text);
  assert.equal(inspect(secret), "***");
});

test("reads the token from the variable or from the file, without its last newline", () => {
  assert.equal(adminTokenFromEnv({}), undefined);
  assert.equal(adminTokenFromEnv({ SWITCHGEAR_ADMIN_TOKEN: TOKEN })?.reveal(), TOKEN);
  for (const ending of ["", "\n", "\r\n"]) {
    const SWITCHGEAR_ADMIN_TOKEN_FILE = file("token", TOKEN + ending);
    assert.equal(adminTokenFromEnv({ SWITCHGEAR_ADMIN_TOKEN_FILE })?.reveal(), TOKEN);
  }
});

function message(name: string, text: string): string {
  return `environment has 1 fault:\n  ${name}: ${text}`;
}

test("refuses what cannot be a token, without showing it", () => {
  const path = file("short", "hunter2\n");

  assert.equal(
    refusal({ SWITCHGEAR_ADMIN_TOKEN: "hunter2hunter2h" }),
    message("SWITCHGEAR_ADMIN_TOKEN", "the token must have at least 16 characters"),
  );
  assert.equal(
    refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: path }),
    message("SWITCHGEAR_ADMIN_TOKEN_FILE", "the token must have at least 16 characters"),
  );
  assert.equal(
    refusal({ SWITCHGEAR_ADMIN_TOKEN: TOKEN, SWITCHGEAR_ADMIN_TOKEN_FILE: path }),
    message(
      "SWITCHGEAR_ADMIN_TOKEN",
      "set SWITCHGEAR_ADMIN_TOKEN or SWITCHGEAR_ADMIN_TOKEN_FILE, not both",
    ),
  );
  assert.equal(
    refusal({ SWITCHGEAR_ADMIN_TOKEN: `${TOKEN} hunter2` }),
    message(
      "SWITCHGEAR_ADMIN_TOKEN",
      "the token may only hold visible ASCII characters, because it travels in an HTTP header",
    ),
  );
  assert.match(refusal({ SWITCHGEAR_ADMIN_TOKEN: "" }), /is empty; set a token, or unset it/);
  assert.match(refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: "" }), /is empty; name a file, or unset it/);
});

test("refuses a file that is missing, empty or too long, and names it", () => {
  const missing = join(folder, "missing");
  const empty = file("empty", "\n");

  assert.ok(
    refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: missing }).includes(`"${missing}": no such file`),
  );
  assert.ok(
    refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: empty }).includes(`the file "${empty}" is empty`),
  );
  assert.match(refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: folder }), /it is a directory/);
  assert.match(refusal({ SWITCHGEAR_ADMIN_TOKEN_FILE: "/dev/zero" }), /too long to be a token/);
});
