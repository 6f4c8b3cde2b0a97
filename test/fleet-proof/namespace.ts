// A network of its own for some replicas, whose cable can be pulled: packets then vanish, and nobody is told. Needs root.

import { spawnSync } from "node:child_process";

const HERE = "10.213.77.1";
const THERE = "10.213.77.2";
const BITS = 30;

export class Namespace {
  readonly #name = `switchgear-${process.pid}`;
  /** Names of links are short. */
  readonly #link = `sg${process.pid}`.slice(0, 13);

  /** What programs in it find this machine at. */
  readonly address = HERE;

  /** What a program is started by. */
  get within(): readonly string[] {
    return ["ip", "netns", "exec", this.#name];
  }

  /** False when it can be made, else why not. */
  static whyNot(): string | false {
    if (process.getuid?.() !== 0) return "network namespaces are root's to make";
    if (spawnSync("ip", ["-V"]).error !== undefined)
      return "there is no ip: apt-get install iproute2";
    const tried = spawnSync("unshare", ["-n", "true"], { encoding: "utf8" });
    return tried.status === 0
      ? false
      : `this machine allows no network namespace: ${tried.stderr.trim()}`;
  }

  make(): void {
    process.once("exit", () => this.remove());
    const there = `${this.#link}p`;
    ip("netns", "add", this.#name);
    ip("link", "add", this.#link, "type", "veth", "peer", "name", there, "netns", this.#name);
    ip("addr", "add", `${HERE}/${BITS}`, "dev", this.#link);
    ip("link", "set", this.#link, "up");
    ip("-n", this.#name, "addr", "add", `${THERE}/${BITS}`, "dev", there);
    ip("-n", this.#name, "link", "set", there, "up");
    ip("-n", this.#name, "link", "set", "lo", "up");
  }

  cut(): void {
    ip("link", "set", this.#link, "down");
  }

  heal(): void {
    ip("link", "set", this.#link, "up");
  }

  /** Its link goes with it. Nothing is left, whatever was made of it. */
  remove(): void {
    spawnSync("ip", ["link", "del", this.#link]);
    spawnSync("ip", ["netns", "del", this.#name]);
  }
}

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}
