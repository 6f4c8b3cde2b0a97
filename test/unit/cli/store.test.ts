import assert from "node:assert/strict";
import { test } from "node:test";
import { storeOf } from "../../../src/cli/store.ts";
import type { Store } from "../../../src/index.ts";
import { parseConfig } from "../../../src/config/load.ts";
import { audit } from "../../contract/store.contract.ts";
import { tempPaths } from "../store/sqlite-harness.ts";

const newPath = tempPaths();

async function configured(store: string): Promise<Store> {
  const text = `store: ${store}\nupstreams: { dk: { url: "http://h" } }`;
  const made = await storeOf(parseConfig(text, { file: "x.yaml", env: {} }).store);
  assert.ok("load" in made);
  return made;
}

test("opens the store that the configuration names, with the days that audits are kept for", async () => {
  const path = newPath();
  assert.equal((await configured("{ kind: memory }")).kind, "memory");
  const forever = await configured(`{ path: "${path}" }`);
  forever.commit({ breakers: [], audits: [audit("dk", { at: 1 })] });
  assert.equal(forever.history({ limit: 9 }).length, 1);
  forever.close();

  const store = await configured(`{ path: "${path}", auditRetentionDays: 30 }`);
  store.load();

  assert.deepEqual(store.history({ limit: 9 }), []);
  store.close();
});
