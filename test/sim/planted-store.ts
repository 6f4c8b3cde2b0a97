// Bugs of a store, and of what shares one with other processes.

import { StoreError } from "../../src/core/errors.ts";
import { BreakerGuard } from "../../src/pipeline/breaker/guard.ts";
import { StoreFaults } from "../../src/pipeline/breaker/store-faults.ts";
import { Known } from "./known.ts";
import { replace } from "./replace.ts";
import type { Sabotage } from "./setting.ts";

export const PLANTED_STORE: readonly Sabotage[] = [
  {
    name: "other processes' orders are never read",
    store: (store) => {
      if (store.poll !== undefined) Object.assign(store, { poll: () => undefined });
    },
  },
  {
    name: "a write does not look whether another process has written since",
    wants: ["races", "trips"],
    store: (store) => {
      const commit = store.commit.bind(store);
      store.commit = (change) => commit({ ...change, ifUnchanged: false });
    },
  },
  {
    name: "orders are told by clocks that are hours apart",
    wants: ["skews", "trips", "resets"],
    store: (store) => Object.defineProperty(store, "revision", { value: undefined }),
  },
  {
    name: "a change that is refused holds back all others",
    wants: ["refusals", "trips"],
    store: (store) => {
      const commit = store.commit.bind(store);
      store.commit = (change) => {
        try {
          commit(change);
        } catch (error) {
          if (!(error instanceof StoreError) || error.storeCode !== "SIM_REFUSED") throw error;
          throw new StoreError(error.storeCode, error.message);
        }
      };
    },
  },
  {
    name: "an audit that is refused is told to nobody",
    wants: ["refusals", "trips", "resets"],
    install: () =>
      replace(
        StoreFaults.prototype,
        "tellLost",
        () =>
          function (this: StoreFaults): void {
            // Nobody hears of it.
          },
      ),
  },
  {
    name: "a store goes on writing into the log that was deleted",
    wants: ["losses", "trips"],
    store: (store) => (store.isElsewhere = () => false),
  },
  {
    name: "a store that finds another file writes back nothing",
    wants: ["losses", "trips"],
    install: () => replace(Known.prototype, "restore", () => () => false),
  },
  {
    name: "a person's reset is forgotten by one who trips before he has seen it",
    wants: ["races", "trips", "resets"],
    install: () =>
      replace(
        BreakerGuard.prototype,
        "toStored",
        (toStored) =>
          function (this: BreakerGuard) {
            const stored = toStored.call(this);
            const { places, snapshot } = stored;
            if (places === undefined || !snapshot.tripped || snapshot.manual) return stored;
            const forgotten = { ...snapshot, lastResetAt: null };
            return { ...stored, snapshot: forgotten, places: { ...places, person: 0 } };
          },
      ),
  },
];
