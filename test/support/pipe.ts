// A real pipe whose reader is the test, and reads when the test says so.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** What `fill` fills it with. */
const FILLING = "#".repeat(1024);

export class Pipe {
  readonly path: string;
  /** For whoever shall write to it. */
  readonly fd: number;
  #reader: number | undefined;

  constructor(
    t: TestContext,
    { folder, blocks }: { readonly folder: string; readonly blocks: boolean },
  ) {
    this.path = join(folder, "pipe");
    assert.equal(spawnSync("mkfifo", [this.path]).status, 0);
    this.open();
    this.fd = openSync(this.path, blocks ? O_WRONLY : O_WRONLY | O_NONBLOCK);
    t.after(() => {
      this.close();
      closeSync(this.fd);
    });
  }

  open(): void {
    this.#reader = openSync(this.path, O_RDONLY | O_NONBLOCK);
  }

  close(): void {
    if (this.#reader !== undefined) closeSync(this.#reader);
    this.#reader = undefined;
  }

  /** Everything that is in it now, without what `fill` put there. */
  read(): string {
    const buffer = Buffer.alloc(1024 * 1024);
    let text = "";
    try {
      for (let count = -1; count !== 0;) {
        count = readSync(this.#reader ?? -1, buffer);
        text += buffer.toString("utf8", 0, count);
      }
    } catch {
      // Nothing more is in it.
    }
    return text.replace(/^#+/, "");
  }

  /** Nothing can be written to it any more. */
  fill(): void {
    const fd = openSync(this.path, O_WRONLY | O_NONBLOCK);
    assert.throws(() => {
      for (;;) writeSync(fd, FILLING);
    });
    closeSync(fd);
  }
}
