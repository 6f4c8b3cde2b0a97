// What a cluster could leave behind on the machine, before and after: processes, mounts, links, control groups and
// settings. Processes are told by the folder that their commands name; the rest is compared as a whole.

import { globSync, readFileSync, readdirSync, readlinkSync } from "node:fs";

export interface Traces {
  readonly mounts: readonly string[];
  readonly links: readonly string[];
  readonly groups: readonly string[];
  readonly settings: readonly string[];
}

const SETTINGS = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
  "net/ipv4/ip_forward",
];

/** `group` is the control group that one looks for. */
export function traces(group: string): Traces {
  return {
    // The place and the kind: numbers of mounts are given anew.
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .trim()
      .split("\n")
      .map((line) => `${line.split(" ")[4]} ${line.split(" - ")[1]}`),
    links: readdirSync("/sys/class/net"),
    // Other clusters' are theirs.
    groups: globSync("/sys/fs/cgroup/*/*").filter(
      (path) => !path.includes("/switchgear-") || path.endsWith(`/${group}`),
    ),
    settings: SETTINGS.map((key) => `${key} ${readFileSync(`/proc/sys/${key}`, "utf8").trim()}`),
  };
}

/** What is there now and was not then, or the other way round. */
export function differences(then: Traces, now: Traces): string[] {
  return (Object.keys(then) as (keyof Traces)[]).flatMap((kind) => {
    const [before, after] = [new Set(then[kind]), new Set(now[kind])];
    const added = now[kind].filter((one) => !before.has(one)).map((one) => `${kind}: + ${one}`);
    return added.concat(
      then[kind].filter((one) => !after.has(one)).map((one) => `${kind}: - ${one}`),
    );
  });
}

/** Living processes whose commands name this folder, or that live in one of these namespaces of processes. */
export function processesOf(folder: string, namespaces: ReadonlySet<string>): string[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`)
    .filter(
      (one) => one.includes(folder) || namespaces.has(namespaceOf(one.split(" ")[0] ?? "") ?? ""),
    );
}

/** Of processes, by its number; undefined when the process has gone. */
export function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
