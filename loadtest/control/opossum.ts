// A plain breaker: opossum around each upstream's calls, with its default options and the same deadline.

import OpossumBreaker from "opossum";
import { Refused, serveControl, TimedOut, type Reply } from "./proxy.ts";

/** The part that is used; the package ships no types. */
type Breaker = new (
  action: (send: () => Promise<Reply>) => Promise<Reply>,
  options: { readonly timeout: number },
) => { fire(send: () => Promise<Reply>): Promise<Reply> };

serveControl("opossum", process.argv.slice(2), (deadlineMs) => {
  const breaker = new (OpossumBreaker as unknown as Breaker)((send) => send(), {
    timeout: deadlineMs,
  });
  return async (send) => {
    try {
      return await breaker.fire(send);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EOPENBREAKER") throw new Refused();
      if (code === "ETIMEDOUT") throw new TimedOut();
      throw error;
    }
  };
});
