import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { ConfigError } from "../../../src/config/fault.ts";
import { loadConfig, parseConfig } from "../../../src/config/load.ts";
import { BAD_CONFIGS } from "./bad-configs.ts";

const FIXTURES = fileURLToPath(new URL("../../fixtures/config/", import.meta.url));
const SECRETS = { SECRET_URL: "http://hunter2@h", SECRET_MODE: "hunter2" };

function faultsOf(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof ConfigError, `threw ${String(error)}`);
    return error;
  }
  return assert.fail("the configuration was accepted");
}

function fixtures(ending: string): string[] {
  return readdirSync(FIXTURES).filter((name) => name.endsWith(ending));
}

function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-config-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("fills in every default of an empty file", () => {
  const config = parseConfig("", { file: "x.yaml" });

  assert.deepEqual(structuredClone(config), {
    gateway: {
      host: "0.0.0.0",
      port: 8080,
      maxBodyBytes: 10_485_760,
      maxHeaderBytes: 16_384,
      maxCriticality: "critical_plus",
      methods: [],
      drainDelayMs: 2_000,
    },
    admin: { host: "0.0.0.0", port: 9464 },
    store: { kind: "sqlite", path: "./data/circuit_breaker.db" },
    logging: { level: "info", format: "json", rejectionIntervalMs: 1000, failureIntervalMs: 1000 },
    loadShedding: { threshold: 0.85, operationLoad: 100, mode: "weighted", maxPending: 1000 },
    limits: { upstreams: 1000, operations: 200 },
    upstreams: {},
  });
});

test("fills in every default of an upstream that has only a url", () => {
  const config = parseConfig("upstreams: { dk: { url: http://h, operations: { odds: {} } } }", {
    file: "x.yaml",
  });

  assert.deepEqual(structuredClone(config.upstreams["dk"]), {
    url: "http://h",
    endpoints: undefined,
    endpointBreaker: {},
    deadlineMs: 30_000,
    tls: {},
    http2: false,
    connectionAgeMsMax: 30_000,
    rewriteRedirects: false,
    rewriteCookies: false,
    mode: "normal",
    share: "orders",
    breaker: {
      kind: "latching",
      failureThreshold: 10,
      timeoutWeight: 0.5,
      failureWeight: 1,
      cooldownMs: 60_000,
      resetTimeoutMs: 60_000,
      recovery: "manual",
    },
    limit: { kind: "adaptive" },
    operations: { odds: { load: 0, criticality: "critical" } },
    status429: "neutral",
  });
});

test("takes every value as it is written", () => {
  const config = loadConfig(join(FIXTURES, "full.good.yaml"), {});

  assert.deepEqual(Object.keys(config.upstreams), ["draftkings", "pinnacle", "007"]);
  assert.deepEqual(config.store, {
    kind: "sqlite",
    path: "./data/circuit_breaker.db",
    auditRetentionDays: 90,
  });
  assert.equal(config.upstreams["pinnacle"]?.url, "https://pinnacle.example/api/v2/");
  const breaker = config.upstreams["draftkings"]?.breaker;
  assert.ok(breaker?.kind === "latching");
  assert.equal(breaker.probeLeaseMs, 1);
  assert.equal(breaker.recovery, "single-probe");
  assert.equal(config.upstreams["draftkings"]?.operations["deepProbe"]?.load, 1000);
});

for (const name of fixtures(".good.yaml"))
  test(`accepts ${name}`, () => {
    loadConfig(join(FIXTURES, name), {});
  });

for (const name of fixtures(".bad.yaml"))
  test(`refuses ${name} with the whole message`, () => {
    const text = readFileSync(join(FIXTURES, name), "utf8");

    const error = faultsOf(() => parseConfig(text, { file: name, env: SECRETS }));

    assert.deepEqual(error.message.split("\n"), BAD_CONFIGS[name]);
    assert.equal(error.code, "SG_CONFIG_INVALID");
    assert.ok(!JSON.stringify([error.message, error.faults]).includes("hunter2"));
  });

test("every message of the table has its fixture", () => {
  assert.deepEqual(Object.keys(BAD_CONFIGS).toSorted(), fixtures(".bad.yaml").toSorted());
});

// Not a fixture, because no formatter reads such a file.
test("reports wrong syntax alone, each mistake with its place", () => {
  const text = 'gateway: { port: 1\nupstreams:\n\tdraftkings: "\\q"\n';

  const error = faultsOf(() => parseConfig(text, { file: "x" }));

  assert.deepEqual(error.message.split("\n"), [
    "x has 3 faults:",
    "  x:2:1: not valid YAML: wrong indentation, or a bracket that is not closed",
    "  x:3:1: not valid YAML: indent with spaces, not tabs",
    "  x:3:15: not valid YAML: this escape is unknown in double quotes; use single quotes for literal backslashes",
  ]);
});

test("a fault carries its parts for programs", () => {
  const { faults } = faultsOf(() => parseConfig("\n gateway: { prot: 1 }", { file: "x" }));

  assert.deepEqual(faults, [
    {
      path: "gateway.prot",
      line: 2,
      column: 13,
      message:
        "unknown key; known here: host, port, maxBodyBytes, maxHeaderBytes, maxCriticality, methods, drainDelayMs",
      suggestion: "port",
    },
  ]);
});

test("the configuration is frozen all the way down, and names find only what was configured", () => {
  const config = loadConfig(join(FIXTURES, "full.good.yaml"), {});

  assert.ok(Object.isFrozen(config.upstreams["draftkings"]?.operations["deepProbe"]));
  assert.ok(Object.isFrozen(config.upstreams));
  assert.equal(config.upstreams["constructor"], undefined);
  assert.equal(config.upstreams["draftkings"]?.operations["toString"], undefined);
});

test("an alias gives each upstream its own copy", () => {
  const config = loadConfig(join(FIXTURES, "near-misses.good.yaml"), {});

  assert.deepEqual(config.upstreams["draftkings2"], config.upstreams["draftkings"]);
  assert.notEqual(config.upstreams["draftkings2"], config.upstreams["draftkings"]);
});

test("puts the environment into strings, and into numbers that are one variable", () => {
  const text = 'gateway: { port: "${PORT}" }\nstore: { kind: sqlite, path: "$${A}-$A-${A}" }';

  const config = parseConfig(text, { file: "x", env: { PORT: "81", A: "a" } });

  assert.equal(config.gateway.port, 81);
  assert.deepEqual(config.store, { kind: "sqlite", path: "${A}-$A-a" });
});

test("does not take an inherited property for a variable", () => {
  const error = faultsOf(() =>
    parseConfig("store: { kind: sqlite, path: '${toString}' }", { file: "x", env: {} }),
  );

  assert.match(error.message, /the environment variable toString is not set/);
});

test("ports from the environment win", () => {
  const env = { SWITCHGEAR_PORT: "0", SWITCHGEAR_ADMIN_PORT: "65535" };

  const config = parseConfig("gateway: { port: 1 }", { file: "x", env });

  assert.equal(config.gateway.port, 0);
  assert.equal(config.admin.port, 65_535);
});

test("bad ports in the environment are listed beside the faults of the file", () => {
  const env = { SWITCHGEAR_PORT: "tcp://10.0.0.1:80", SWITCHGEAR_ADMIN_PORT: "65536" };

  const error = faultsOf(() => parseConfig("logging: { level: 5 }", { file: "x", env }));

  assert.deepEqual(error.message.split("\n"), [
    "x has 3 faults:",
    '  SWITCHGEAR_PORT: expected a whole number from 0 to 65535, found "tcp://10.0.0.1:80"; Kubernetes sets this for a service of that name unless the pod has enableServiceLinks: false',
    '  SWITCHGEAR_ADMIN_PORT: expected a whole number from 0 to 65535, found "65536"',
    "  x:1:19 logging.level: expected one of trace, debug, info, warn, error, fatal, silent, found 5",
  ]);
});

for (const text of ["", " 80", "8e1", "0x50", "-1", "80.5", "99999999999"])
  test(`refuses SWITCHGEAR_PORT=${JSON.stringify(text)}`, () => {
    const error = faultsOf(() => parseConfig("", { file: "x", env: { SWITCHGEAR_PORT: text } }));

    assert.equal(error.faults[0]?.path, "SWITCHGEAR_PORT");
  });

test("looks for the file in its argument, then in SWITCHGEAR_CONFIG, then under the default name", () => {
  inFolder((folder) => {
    const file = join(folder, "a.yaml");
    writeFileSync(file, "gateway: { port: 7 }");

    assert.equal(loadConfig(file, { SWITCHGEAR_CONFIG: "/nowhere" }).gateway.port, 7);
    assert.equal(loadConfig(undefined, { SWITCHGEAR_CONFIG: file }).gateway.port, 7);
    assert.equal(faultsOf(() => loadConfig(undefined, {})).file, "switchgear.yaml");
  });
});

test("a file that cannot be read is a sentence", () => {
  inFolder((folder) => {
    const missing = join(folder, "missing.yaml");
    const binary = join(folder, "binary.yaml");
    writeFileSync(binary, Buffer.from([0xff, 0xfe, 0xfd]));

    assert.equal(
      faultsOf(() => loadConfig(missing, {})).message,
      `${missing} has 1 fault:\n  the file cannot be read: no such file`,
    );
    assert.match(
      faultsOf(() => loadConfig(folder, {})).message,
      /cannot be read: it is a directory/,
    );
    assert.match(faultsOf(() => loadConfig(binary, {})).message, /not valid UTF-8/);
    assert.match(faultsOf(() => loadConfig("/dev/zero", {})).message, /longer than 1048576 bytes/);
  });
});

test("accepts a file of exactly the longest length, and refuses one byte more", () => {
  const text = `gateway: {} #${"x".repeat(1024 ** 2 - 13)}`;

  assert.equal(parseConfig(text, { file: "x" }).gateway.port, 8080);
  assert.match(
    faultsOf(() => parseConfig(`${text}x`, { file: "x" })).message,
    /longer than 1048576 bytes/,
  );
});

test("aliases that multiply are stopped", () => {
  const levels = Array.from(
    { length: 20 },
    (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`,
  );

  const error = faultsOf(() => parseConfig(["l0: &l0 [x]", ...levels].join("\n"), { file: "x" }));

  assert.match(error.message, /aliases and values add up to more than 200000/);
});

test("deep nesting is a fault and not a crash", () => {
  const deep = `${"[".repeat(50)}${"]".repeat(50)}`;

  assert.match(
    faultsOf(() => parseConfig(`upstreams: ${deep}`, { file: "x" })).message,
    /nested too deeply/,
  );
  assert.match(
    faultsOf(() => parseConfig("[".repeat(20_000), { file: "x" })).message,
    /not valid YAML/,
  );
});

test("keeps a hundred faults and counts the rest", () => {
  const text = Array.from({ length: 150 }, (_, i) => `k${i}: 1`).join("\n");

  const error = faultsOf(() => parseConfig(text, { file: "x" }));

  assert.equal(error.faults.length, 100);
  assert.equal(error.omitted, 50);
  assert.match(error.message, /^x has 150 faults:\n.*\n {2}and 50 more$/s);
});
