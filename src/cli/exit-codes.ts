// What the process says to the shell that started it.

export const EXIT = {
  done: 0,
  failed: 1,
  /** Wrong use or wrong configuration; every fault was listed. */
  wrongUse: 2,
  /** The server refused what was understood: a reset in the cooldown, a trip of what tripped by itself. */
  refused: 3,
  unreachable: 4,
  /** No token, a wrong one, or a server that takes none. */
  unauthorised: 5,
} as const;

/** Ends a command with a sentence for people and a code for programs. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
