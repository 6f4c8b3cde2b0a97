// Reads a file up to a bound, whatever it is: a name that leads to /dev/zero must not fill the memory.

import { closeSync, openSync, readSync } from "node:fs";

/** The bytes of the file, or `undefined` when there are more than `bytesMax`. Throws what `open` and `read` throw. */
export function readFileBounded(path: string, bytesMax: number): Buffer | undefined {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(bytesMax + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(file, buffer, length, buffer.length - length, null);
      if (count === 0) return buffer.subarray(0, length);
      length += count;
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
};

/** Why a file could not be read, in words. */
export function readFailure(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  return REASONS[code] ?? code;
}
