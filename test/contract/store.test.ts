import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { memoryStore } from "../../src/store/memory.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { NOW, storeContract } from "./store.contract.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-store-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const now = (): number => NOW;

storeContract({ name: "memory", create: memoryStore });

storeContract({
  name: "sqlite",
  create() {
    files += 1;
    return sqliteStore(join(folder, `contract-${files}`, "breaker.db"), { now });
  },
  reopen: (store) => sqliteStore(store.location, { now }),
});

storeContract({ name: "sqlite in memory", create: () => sqliteStore(":memory:", { now }) });
