// Faults put into one transport on purpose, to show that the fuzzer finds them.

import type { Outcome } from "../../src/core/outcome.ts";

type Undo = (outcome: Outcome) => Outcome;

const same: Undo = (outcome) => outcome;

const PLANTS: Readonly<Record<string, () => Undo>> = {
  "loses all but one cookie": () => {
    changeAnswers(({ headers }) => {
      const [first, second] = headers.getSetCookie();
      if (first !== undefined && second !== undefined) headers.set("set-cookie", first);
    });
    return same;
  },
  "counts failures as successes": () => (outcome) =>
    outcome.outcome === "failed" && outcome.timeout !== true
      ? { outcome: "ok", latencyMs: outcome.latencyMs ?? 0 }
      : outcome,
  "asks twice": () => {
    const once = globalThis.fetch;
    replaceFetch(async (input, init) => {
      if (init?.method === "DELETE") await (await once(input, init)).bytes();
      return once(input, init);
    });
    return same;
  },
};

/** Puts it in, into this process, and answers what becomes of verdicts. */
export function plant(name: string | undefined): Undo {
  if (name === undefined) return same;
  const put = PLANTS[name];
  if (put === undefined) throw new RangeError(`no planted fault is called ${name}`);
  return put();
}

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

function changeAnswers(change: (response: Response) => void): void {
  const once = globalThis.fetch;
  replaceFetch(async (input, init) => {
    const response = await once(input, init);
    change(response);
    return response;
  });
}

function replaceFetch(replacement: Fetch): void {
  Object.assign(globalThis, { fetch: replacement });
}
