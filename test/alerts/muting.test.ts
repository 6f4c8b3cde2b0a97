// What mutes what in the rendered configuration, asked of a real Alertmanager. It is given no secret, so it can
// notify nobody.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DEFAULT_VALUES, renderAlerts } from "../../scripts/alerts/render.ts";
import { readValues } from "../../scripts/alerts/values.ts";
import { freePorts, ready, start } from "../support/programs.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";
import { keyOf, sent } from "./muting.ts";

const skip = whyNoTools();

interface Seen {
  readonly labels: Readonly<Record<string, string>>;
  readonly status: { readonly inhibitedBy: readonly string[] };
}

/** Sources come in asynchronously: how long they may take before it counts as never. */
const MUTED_MS_MAX = 20_000;

async function mutedAt(url: string): Promise<Map<string, boolean>> {
  const seen = (await (await fetch(url)).json()) as Seen[];
  return new Map(seen.map(({ labels, status }) => [keyOf(labels), status.inhibitedBy.length > 0]));
}

test(
  "what mutes what: each pair, in its own cluster and namespace, and no neighbour",
  { skip },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "switchgear-muting-"));
    const files = await renderAlerts(readValues(DEFAULT_VALUES));
    const config = join(folder, "alertmanager.yml");
    const routing = files.find(({ path }) => path.endsWith("/alertmanager.yml"));
    writeFileSync(config, routing?.content ?? "");
    const [port = 0] = await freePorts(1);
    const program = start([
      toolPath("alertmanager"),
      `--config.file=${config}`,
      `--storage.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
    ]);
    t.after(async () => {
      program.child.kill("SIGKILL");
      await program.ended;
      rmSync(folder, { recursive: true, force: true });
    });
    await ready(program, `http://127.0.0.1:${port}/-/ready`);
    const url = `http://127.0.0.1:${port}/api/v2/alerts`;
    const told = sent();
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(told.map(({ labels }) => ({ labels }))),
    });
    assert.equal(answer.status, 200, await answer.text());

    const wanted = new Map(told.map(({ labels, isMuted }) => [keyOf(labels), isMuted]));
    assert.equal(wanted.size, told.length, "each is told once");
    let found = new Map<string, boolean>();
    const deadlineMs = performance.now() + MUTED_MS_MAX;
    do {
      found = await mutedAt(url);
      if ([...wanted].every(([key, isMuted]) => found.get(key) === isMuted)) break;
      await new Promise((next) => setTimeout(next, 100));
    } while (performance.now() < deadlineMs);
    const wrong = [...wanted].filter(([key, isMuted]) => found.get(key) !== isMuted);
    assert.deepEqual(wrong, []);
  },
);
