// How a call is made, and how its answer is told apart: by the status and reason of the gateway's mapping.

import http, { type RefinedParams, type RefinedResponse } from "k6/http";
import type { Tier } from "./tiers.ts";

export type Outcome = "ok" | "refused" | "timeout" | "error";

export interface Answer {
  readonly outcome: Outcome;
  /** The gateway's reason, or what k6 says of a call without an answer; empty for one that came well. */
  readonly reason: string;
  readonly ms: number;
  readonly status: number;
  /** What a refusal says of when to come again, in seconds; 0 where it says nothing. */
  readonly retryAfterSeconds: number;
}

export interface CallOptions {
  readonly url: string;
  readonly tier: Tier;
  /** k6 gives up after this long: somewhat more than the deadline of the gateway. */
  readonly timeoutMs: number;
}

// A refusal is what the gateway is for: k6's own count of failures is not to count it.
http.setResponseCallback(http.expectedStatuses(200, 429, 503, 504));

export async function call(options: CallOptions): Promise<Answer> {
  return answerOf(await http.asyncRequest("GET", options.url, null, paramsOf(options)));
}

function paramsOf({ tier, timeoutMs }: CallOptions): RefinedParams<"none"> {
  return {
    headers: { "x-switchgear-criticality": tier },
    timeout: timeoutMs,
    responseType: "none",
    // One name for all: k6 keeps numbers for each.
    tags: { name: "call" },
  };
}

// What is read of a response costs k6 more than anything else here: only what is needed is.
function answerOf(response: RefinedResponse<"none">): Answer {
  const { status } = response;
  const ms = response.timings.duration;
  if (status === 200) return { outcome: "ok", reason: "", ms, status, retryAfterSeconds: 0 };
  // Of k6's codes 1050 is the one of its own timeout.
  if (status === 0) {
    const outcome = response.error_code === 1050 ? "timeout" : "error";
    return { outcome, reason: response.error, ms, status, retryAfterSeconds: 0 };
  }
  const { headers } = response;
  const reason = headers["X-Switchgear-Reason"] ?? "";
  const retryAfterSeconds = Number(headers["Retry-After"] ?? 0);
  const isRefusal = (status === 503 || status === 429) && reason !== "";
  if (reason === "upstream_timeout")
    return { outcome: "timeout", reason, ms, status, retryAfterSeconds };
  if (isRefusal) return { outcome: "refused", reason, ms, status, retryAfterSeconds };
  const what = reason === "" ? `status_${status}` : reason;
  return { outcome: "error", reason: what, ms, status, retryAfterSeconds };
}

export function pause(ms: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, ms);
  });
}
