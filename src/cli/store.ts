// The store that a configuration names.

import type { SwitchgearConfig } from "../config/schema.ts";
import { memoryStore, type Store } from "../index.ts";
import { sqliteStore } from "../store/sqlite.ts";

export function storeOf(config: SwitchgearConfig["store"]): Store {
  if (config.kind === "memory") return memoryStore();
  const { path, auditRetentionDays } = config;
  return sqliteStore(path, auditRetentionDays === undefined ? {} : { auditRetentionDays });
}
