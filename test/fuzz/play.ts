// Plays the steps of one side of an exchange on its socket.

import type { Socket } from "node:net";
import { LANE, type Step } from "./exchange.ts";

/** Ends early when the socket does. */
export async function play(
  socket: Socket,
  steps: readonly Step[],
  lane: string = LANE,
): Promise<void> {
  for (const step of steps) {
    if (socket.destroyed) return;
    if ("write" in step) socket.write(step.write.replaceAll(LANE, lane), "latin1");
    else if ("waitMs" in step) await pause(step.waitMs);
    else if ("end" in step) socket.end();
    else socket.resetAndDestroy();
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
