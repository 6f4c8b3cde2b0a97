// Standard output and standard error of this process, as outputs that nobody waits for.

import { constants, fstatSync, openSync, type Stats } from "node:fs";
import { BoundedOutput, type Descriptor } from "./output.ts";

const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;

type StandardDescriptor = typeof STANDARD_OUTPUT | typeof STANDARD_ERROR;

const outputs = new Map<StandardDescriptor, BoundedOutput>();

/** The same one for all who ask, so that their lines keep their order. */
export function standardOutput(): BoundedOutput {
  return outputTo(STANDARD_OUTPUT, ({ message }) =>
    tellPeople(`the log cannot be written (${message}); the service goes on without it`),
  );
}

export function standardError(): BoundedOutput {
  return outputTo(STANDARD_ERROR);
}

/** A sentence for people, on standard error. */
export function tellPeople(sentence: string): void {
  standardError().write(`switchgear: ${sentence}\n`);
}

function outputTo(fd: StandardDescriptor, onFailure?: (error: Error) => void): BoundedOutput {
  let output = outputs.get(fd);
  if (output === undefined) {
    const made = new BoundedOutput({ descriptor: descriptorOf(fd), onFailure });
    process.once("exit", () => made.end());
    outputs.set(fd, made);
    output = made;
  }
  return output;
}

function descriptorOf(fd: StandardDescriptor): Descriptor {
  const stat = statOf(fd);
  if (stat?.isFIFO() === true || stat?.isCharacterDevice() === true) {
    const own = reopened(fd);
    if (own !== undefined) return { fd: own, blocks: false };
  }
  if (stat?.isFIFO() === true || stat?.isSocket() === true) {
    // The runtime makes them non-blocking for its own stream, for all who share them. A socket cannot
    // be opened again, nor a pipe of another user.
    void (fd === STANDARD_OUTPUT ? process.stdout : process.stderr);
    return { fd, blocks: false };
  }
  return { fd, blocks: true };
}

function statOf(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    // Closed: writing will say so.
    return undefined;
  }
}

/** Linux opens what a descriptor leads to once more: the flags of ours are nobody else's. */
function reopened(fd: number): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}
