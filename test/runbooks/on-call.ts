// What an engineer does with a page while its alert fires, on one stack: looks, acts, looks again.

import assert from "node:assert/strict";
import { untilAlert } from "../pager/alerts.ts";
import type { Stack } from "../pager/stack.ts";
import { follow, type Following } from "./follow.ts";

/** Everything here takes seconds; this is for a machine that others load, too. */
export const WAIT_MS = 90_000;

/** Of what a look shows, the last scrape may still be missing. */
const LOOK_AGAIN_MS = 10_000;

type Env = Readonly<Record<string, string>>;

export interface OnCall {
  readonly fires: (alert: string, labels?: Env) => Promise<void>;
  readonly ends: (alert: string, labels?: Env) => Promise<void>;
  /** `shows` is the cause, where the page tells several apart. */
  readonly diagnose: (page: string, env?: Env, shows?: string) => Promise<void>;
  readonly mitigate: (page: string, env?: Env) => Promise<void>;
  /** Looks until what the page promises is seen. */
  readonly verify: (page: string, env?: Env) => Promise<void>;
  /** One call through the gateway, and its status. */
  readonly call: (path: string, headers?: Env) => Promise<number>;
  /** An operator's order, past the command line, to the first gateway unless an address is given. */
  readonly order: (what: "trip" | "reset", name: string, adminUrl?: string) => Promise<void>;
}

export function onCall(stackOf: () => Stack): OnCall {
  const alert = async (name: string, labels: Env, isFiring: boolean): Promise<void> => {
    await untilAlert(stackOf(), name, labels, isFiring, WAIT_MS);
  };
  const run = (page: string, section: string, more: Env, how: Partial<Following> = {}) =>
    follow(page, section, { ...how, env: { ...stackOf().env, ...more } });
  return {
    fires: (name, labels = {}) => alert(name, labels, true),
    ends: (name, labels = {}) => alert(name, labels, false),
    diagnose: (page, env = {}, shows = "") =>
      run(page, "Diagnosis", env, { shows, againMs: LOOK_AGAIN_MS }),
    mitigate: (page, env = {}) => run(page, "Mitigation", env),
    verify: (page, env = {}) => run(page, "Verify", env, { againMs: WAIT_MS }),
    call: async (path, headers = {}) => {
      const answer = await fetch(`${stackOf().gateway.url}${path}`, { headers });
      await answer.body?.cancel();
      return answer.status;
    },
    order: async (what, name, adminUrl = stackOf().gateway.adminUrl) => {
      const answer = await fetch(`${adminUrl}/api/circuit-breakers/${name}/${what}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${stackOf().env["SWITCHGEAR_ADMIN_TOKEN"]}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ reason: "drill", ...(what === "reset" ? { force: true } : {}) }),
      });
      assert.equal(answer.status, 200, await answer.text());
    },
  };
}

export interface Traffic {
  /** Statuses of all calls that were answered. */
  end(): Promise<ReadonlySet<number>>;
}

/** So few that they load no machine, and so many that a rate of five seconds is one. */
const PAUSE_MS = 50;

/** Calls on and on, as so many callers at once. */
export function keepCalling(call: () => Promise<number>, callers = 1): Traffic {
  const statuses = new Set<number>();
  const over = new AbortController();
  const work = async (): Promise<void> => {
    while (!over.signal.aborted) {
      statuses.add(await call());
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  };
  const all = Promise.all(Array.from({ length: callers }, work));
  // What fails is told by `end`.
  all.catch(() => {});
  return {
    end: async () => {
      over.abort();
      await all;
      return statuses;
    },
  };
}
