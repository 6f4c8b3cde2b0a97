// Makes an exchange smaller while it still shows what was found.

import type { Answer, Exchange, SentRequest, Step } from "./exchange.ts";

/** Tries are exchanges; more would take longer than looking at what is left. */
const TRIES_MAX = 150;

export async function shrink(
  exchange: Exchange,
  shows: (smaller: Exchange) => Promise<boolean>,
): Promise<Exchange> {
  let best = exchange;
  let tries = 0;
  for (let isSmaller = true; isSmaller && tries < TRIES_MAX;) {
    isSmaller = false;
    for (const candidate of smallerOnes(best)) {
      tries += 1;
      if (tries > TRIES_MAX) break;
      if (!(await shows(candidate))) continue;
      best = candidate;
      isSmaller = true;
      break;
    }
  }
  return best;
}

function* smallerOnes(exchange: Exchange): Generator<Exchange> {
  const { requests, answers } = exchange;
  if (exchange.isWarm) yield { ...exchange, isWarm: false };
  if (exchange.isRewritten) yield { ...exchange, isRewritten: false };
  if (exchange.isPipelined) yield { ...exchange, isPipelined: false };
  if (requests.length > 1) {
    for (const [at] of requests.entries())
      yield { ...exchange, requests: requests.toSpliced(at, 1) };
  }
  for (const [at] of answers.entries()) yield { ...exchange, answers: answers.toSpliced(at, 1) };
  for (const [at, request] of requests.entries()) {
    for (const steps of smallerSteps(request.steps)) {
      const smaller: SentRequest = { ...request, steps };
      yield { ...exchange, requests: requests.with(at, smaller) };
    }
  }
  for (const [at, answer] of answers.entries()) {
    for (const steps of smallerSteps(answer.steps)) {
      const smaller: Answer = { ...answer, steps };
      yield { ...exchange, answers: answers.with(at, smaller) };
    }
  }
}

/** Fewer pauses and packets, fewer lines, shorter ones. */
function* smallerSteps(steps: readonly Step[]): Generator<Step[]> {
  for (const [at, step] of steps.entries()) {
    if ("waitMs" in step) yield merged(steps.toSpliced(at, 1));
  }
  for (const [at, step] of steps.entries()) {
    if (!("write" in step)) continue;
    const lines = step.write.split("\r\n");
    for (let line = 1; line < lines.length; line += 1) {
      const write = lines.toSpliced(line, 1).join("\r\n");
      if (lines[line] !== "") yield steps.with(at, { write });
    }
    for (const [line, text] of lines.entries()) {
      if (text.length < 80) continue;
      const write = lines.with(line, text.slice(0, text.length / 2)).join("\r\n");
      yield steps.with(at, { write });
    }
  }
}

function merged(steps: readonly Step[]): Step[] {
  const out: Step[] = [];
  for (const step of steps) {
    const last = out.at(-1);
    if ("write" in step && last !== undefined && "write" in last) {
      out[out.length - 1] = { write: last.write + step.write };
    } else out.push(step);
  }
  return out;
}
