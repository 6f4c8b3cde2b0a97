import assert from "node:assert/strict";
import { test } from "node:test";
import { storeOf } from "../../../src/cli/store.ts";
import { parseConfig } from "../../../src/config/load.ts";
import { audit } from "../../contract/store.contract.ts";
import { tempPaths } from "../store/sqlite-harness.ts";

const newPath = tempPaths();

function configured(store: string): ReturnType<typeof storeOf> {
  const text = `store: ${store}\nupstreams: { dk: { url: "http://h" } }`;
  return storeOf(parseConfig(text, { file: "x.yaml", env: {} }).store);
}

test("opens the store that the configuration names, with the days that audits are kept for", () => {
  const path = newPath();
  assert.equal(configured("{ kind: memory }").kind, "memory");
  const forever = configured(`{ path: "${path}" }`);
  forever.commit({ breakers: [], audits: [audit("dk", { at: 1 })] });
  assert.equal(forever.history({ limit: 9 }).length, 1);
  forever.close();

  const store = configured(`{ path: "${path}", auditRetentionDays: 30 }`);
  store.load();

  assert.deepEqual(store.history({ limit: 9 }), []);
  store.close();
});
