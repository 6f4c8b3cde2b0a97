// Helm's own engine in one process that renders again and again: for the run that deletes one thing of a chart at a time.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { toolPath } from "../tools/build.ts";
import type { Manifest } from "./helm.ts";

export interface Rendering {
  readonly error?: string;
  readonly notes?: string;
  readonly manifests?: readonly Manifest[];
}

export interface Asked {
  readonly chart: string;
  readonly values: string;
  readonly release: string;
  readonly namespace: string;
  /** Holding values to the schema is most of what it costs. */
  readonly skipSchema: boolean;
}

export class Renderer {
  readonly #child: ChildProcess;
  /** Answers come in the order of the requests. */
  readonly #waiting: ((answer: Rendering) => void)[] = [];

  constructor() {
    this.#child = spawn(toolPath("helm-render"), { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("helm-render cannot be read");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as Rendering);
    });
  }

  render(asked: Asked): Promise<Rendering> {
    return new Promise((done) => {
      this.#waiting.push(done);
      this.#child.stdin?.write(`${JSON.stringify(asked)}\n`);
    });
  }

  close(): void {
    this.#child.stdin?.end();
  }
}
