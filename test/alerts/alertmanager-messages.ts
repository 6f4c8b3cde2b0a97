// What receivers send, asked of many configurations side by side: one Alertmanager holds the routes of all of
// them, each below a label of its own, and every message is compared with what is written down.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse, stringify } from "yaml";
import { compressAlertmanager } from "../pager/compress.ts";
import { startWebhooks, type Webhooks } from "../pager/webhooks.ts";
import type { Mutant } from "./alertmanager-mutants.ts";
import { startAlertmanager } from "./live.ts";
import { EXTERNAL_URL, KEY, pageOf, tripped, type Told } from "./messages.ts";
import type { Config, Receiver, Route } from "./routing.ts";

/** A minute's interval becomes a fifth of a second. */
const FACTOR = 300;

const CHANNELS = ["tickets", "second-channel", "dead-mans-switch"];

const at = (alertname: string, severity: string): Told => ({
  labels: { alertname, severity, namespace: "bets" },
  annotations: { summary: alertname },
});

const TOLD: readonly Told[] = [
  tripped("draftkings", "a:1"),
  tripped("draftkings", "b:1"),
  { labels: { alertname: "Bare", severity: "critical" }, annotations: {} },
  at("SwitchgearStoreDown", "warning"),
  at("SwitchgearPagerDeliveryFailing", "warning"),
  at("SwitchgearWatchdog", "none"),
];

/** By channel what each says, without what repeats, in the order of the texts. */
type Heard = Readonly<Record<string, readonly string[]>>;

const page = pageOf("draftkings");

const bare = (action: string): object => ({
  event_action: action,
  summary: "Bare",
  source: "switchgear",
});

const WANTED: Heard = {
  pagerduty: [page.trigger, page.resolve, bare("trigger"), bare("resolve")].map(textOf).toSorted(),
  tickets: ["firing SwitchgearStoreDown", "resolved SwitchgearStoreDown"],
  "second-channel": [
    "firing SwitchgearPagerDeliveryFailing",
    "resolved SwitchgearPagerDeliveryFailing",
  ],
  // There is nothing to say when it ends.
  "dead-mans-switch": ["firing SwitchgearWatchdog"],
};

/** By id, where anything differs. The first is how it must be, and is waited for. */
export async function differentMessages(
  mutants: readonly Mutant[],
  msMax: number,
): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-messages-"));
  const webhooks = await startWebhooks();
  try {
    const file = join(folder, "alertmanager.yml");
    writeFileSync(file, stringify(sideBySide(mutants, folder, webhooks)));
    const { url, kill } = await startAlertmanager(
      file,
      msMax,
      `--web.external-url=${EXTERNAL_URL}`,
    );
    try {
      // First both: what is told once more, such as the switch, must not say afterwards that it ended.
      for (const isFiring of [true, false]) {
        for (const index of mutants.keys()) await tell(url, String(index), isFiring);
        await settled(webhooks, mutants, isFiring);
      }
    } finally {
      await kill();
    }
    return new Map(
      mutants.flatMap(({ id }, index) => {
        const heard = heardOf(webhooks, String(index));
        const channel = Object.keys(WANTED).find(
          (name) => !isDeepStrictEqual(heard[name], WANTED[name]),
        );
        return channel === undefined ? [] : [[id, `${channel}: ${heard[channel]?.join("; ")}`]];
      }),
    );
  } finally {
    await webhooks.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function sideBySide(mutants: readonly Mutant[], folder: string, webhooks: Webhooks): object {
  const each = mutants.map(({ config }, index) => {
    const name = String(index);
    const secrets = join(folder, name);
    mkdirSync(secrets);
    writeFileSync(join(secrets, "pagerduty-routing-key"), KEY);
    for (const channel of CHANNELS) {
      writeFileSync(join(secrets, `${channel}-url`), webhooks.urlOf(`${channel}/${name}`));
    }
    const replace = (key: string, value: string): string =>
      key.endsWith("_file") ? join(secrets, basename(value)) : value;
    const { route, receivers } = parse(
      compressAlertmanager(stringify(config), replace, FACTOR),
    ) as Config;
    const url = webhooks.urlOf(`pagerduty/${name}`);
    return {
      route: { ...renamed(route, name), matchers: [`mutant="${name}"`] },
      receivers: receivers.map((receiver) => addressed(receiver, name, url)),
    };
  });
  return {
    route: { receiver: "none", routes: each.map(({ route }) => route) },
    receivers: [{ name: "none" }, ...each.flatMap(({ receivers }) => receivers)],
  };
}

function renamed(route: Route, name: string): Route {
  const { receiver, routes } = route;
  return {
    ...route,
    ...(receiver === undefined ? {} : { receiver: `${receiver}-${name}` }),
    ...(routes === undefined ? {} : { routes: routes.map((one) => renamed(one, name)) }),
  };
}

function addressed(receiver: Receiver, name: string, url: string): Receiver {
  const { pagerduty_configs: pages } = receiver;
  return {
    ...receiver,
    name: `${receiver.name}-${name}`,
    ...(pages === undefined
      ? {}
      : { pagerduty_configs: pages.map((way) => Object.assign({}, way, { url })) }),
  };
}

async function tell(url: string, mutant: string, isFiring: boolean): Promise<void> {
  const nowMs = Date.now();
  // One that is older than its route waits is told of at once, alone.
  const startsAt = new Date(nowMs - (isFiring ? 0 : 60_000)).toISOString();
  const endsAt = new Date(nowMs + (isFiring ? 3_600_000 : -1000)).toISOString();
  const alerts = TOLD.map(({ labels, annotations }) => ({
    labels: { ...labels, mutant },
    annotations,
    startsAt,
    endsAt,
  }));
  const response = await fetch(`${url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(alerts),
  });
  if (!response.ok) throw new Error(await response.text());
}

/** After everything has been heard that should be, or nothing new for so long, it counts as all there is. */
const QUIET_MS = 3000;

async function settled(
  webhooks: Webhooks,
  mutants: readonly Mutant[],
  isFiring: boolean,
): Promise<void> {
  let known = "";
  let sinceMs = performance.now();
  for (;;) {
    const all = mutants.map((_, index) => heardOf(webhooks, String(index)));
    const isThere = (heard: Heard): boolean =>
      Object.entries(WANTED).every(([channel, wanted]) => {
        const texts = wanted.filter((text) => !isFiring || !/resolve/.test(text.slice(0, 30)));
        return texts.every((text) => heard[channel]?.includes(text));
      });
    if (all.every(isThere)) return;
    const text = JSON.stringify(all);
    if (text !== known) [known, sinceMs] = [text, performance.now()];
    if (performance.now() - sinceMs > QUIET_MS) return;
    await new Promise((done) => setTimeout(done, 250));
  }
}

function heardOf(webhooks: Webhooks, mutant: string): Heard {
  return Object.fromEntries(
    Object.keys(WANTED).map((channel) => {
      const texts = webhooks.received(`${channel}/${mutant}`).map(textOf);
      return [channel, [...new Set(texts)].toSorted()];
    }),
  );
}

/** Events whole but for the key of the incident; of those without texts and of webhooks, what they are about. */
function textOf(message: object): string {
  const { status, groupLabels, dedup_key: _, ...event } = message as Record<string, unknown>;
  if (typeof status === "string") {
    return `${status} ${(groupLabels as { alertname?: string } | undefined)?.alertname}`;
  }
  const { payload = event } = event as { payload?: Record<string, unknown> };
  if (payload["summary"] !== "Bare") return JSON.stringify(sorted(event));
  const { summary, source } = payload;
  return JSON.stringify(sorted({ event_action: event["event_action"], summary, source }));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}
