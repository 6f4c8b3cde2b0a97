// What Alertmanager makes of each alert: who hears it, in which incident, and whether it is muted.

import { keyOf, sent, type Labels, type Sent } from "./muting.ts";
import { GROUPED_BY, receiverOf } from "./routing.ts";

/** It is only asked: nothing is sent, and no secret looked for. */
export const SILENT = ["--dispatch.start-delay=1h", "--log.level=error"];

/** By alert: `muted` or `told`, to whom, in which group. */
export type Answers = ReadonlyMap<string, string>;

const TOLD = sent();

const WANTED: Answers = new Map(TOLD.map((one) => [keyOf(one.labels), wanted(one)]));

if (WANTED.size !== TOLD.length) throw new Error("an alert is told twice");

function wanted({ labels, isMuted }: Sent): string {
  const group = Object.entries(labels).filter(([label]) => GROUPED_BY.includes(label));
  return answer(isMuted, receiverOf(labels), Object.fromEntries(group));
}

function answer(isMuted: boolean, receiver: string, group: Labels): string {
  return `${isMuted ? "muted" : "told"} ${receiver}: ${keyOf(group)}`;
}

const HOUR_MS = 3_600_000;

/** Each ends a bit later than the one before: of two that could mute, Alertmanager remembers the later one. */
export async function tellAll(url: string): Promise<void> {
  const nowMs = Date.now();
  const alerts = TOLD.map(({ labels }, at) => ({
    labels,
    endsAt: new Date(nowMs + HOUR_MS + at * 10).toISOString(),
  }));
  const response = await fetch(`${url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(alerts),
  });
  if (!response.ok) throw new Error(await response.text());
}

/** Answers when everything that was told has been read anew, by what mutes and by what groups. */
export async function reload(url: string): Promise<void> {
  const response = await fetch(`${url}/-/reload`, { method: "POST" });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

interface Group {
  readonly labels: Labels;
  readonly receiver: { readonly name: string };
  readonly alerts: readonly {
    readonly labels: Labels;
    readonly status: { readonly inhibitedBy: readonly string[] };
  }[];
}

export async function answersOf(url: string): Promise<Answers> {
  const groups = (await (await fetch(`${url}/api/v2/alerts/groups`)).json()) as readonly Group[];
  const answers = new Map<string, string>();
  for (const { labels: group, receiver, alerts } of groups) {
    for (const { labels, status } of alerts) {
      const key = keyOf(labels);
      const found = answer(status.inhibitedBy.length > 0, receiver.name, group);
      const known = answers.get(key);
      answers.set(key, known === undefined ? found : [known, found].toSorted().join(", "));
    }
  }
  return answers;
}

/** What is not as muting.ts and routing.ts say. */
export function differences(answers: Answers): string[] {
  const keys = new Set([...WANTED.keys(), ...answers.keys()]);
  return [...keys]
    .filter((key) => answers.get(key) !== WANTED.get(key))
    .map((key) => `${key}: ${answers.get(key)}, not ${WANTED.get(key)}`);
}
