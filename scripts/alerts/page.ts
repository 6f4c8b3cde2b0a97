// docs/alerts.md: what each alert tells, who acts and how, and which others it mutes, from the files themselves.

import { isMap, isSeq, parse, parseDocument, type YAMLMap } from "yaml";
import type { Rendered } from "./render.ts";

interface Told {
  readonly alert: string;
  readonly severity: string;
  readonly window: string;
  readonly summary: string;
  /** What stands above it. */
  readonly who: string;
}

interface Route {
  readonly matchers: readonly string[];
  readonly receiver: string;
}

interface Muting {
  readonly source_matchers: readonly string[];
  readonly target_matchers: readonly string[];
  readonly equal: readonly string[];
}

export function alertsPage(files: readonly Rendered[]): string {
  const rules = files.filter(({ path }) => /^alerts\/[\w-]+\.yml$/.test(path));
  const alerts = rules.flatMap(({ content }) => alertsOf(content));
  const routing = files.find(({ path }) => path.endsWith("alertmanager.yml"))?.content ?? "";
  const { inhibit_rules: mutings, route } = parse(routing) as {
    readonly inhibit_rules: readonly Muting[];
    readonly route: { readonly routes: readonly Route[] };
  };
  const names = [...new Set(alerts.map(({ alert }) => alert))];
  const rows = names.map((name) => {
    const own = alerts.filter(({ alert }) => alert === name);
    const [first] = own;
    const way = route.routes.find(({ matchers: [one = ""] }) => one === `alertname="${name}"`);
    const receivers =
      way === undefined
        ? [...new Set(own.map(({ severity }) => WAKES[severity] ?? severity))]
        : [way.receiver];
    const who = own.map((one) => (one.window === "" ? one.who : `${one.window}: ${one.who}`));
    return [
      `[\`${name}\`](../runbooks/${name}.md)`,
      receivers.join(", "),
      (first?.summary ?? "").replaceAll(/(?:\{\{.*?\}\})+/g, "…"),
      [...new Set(who)].join(" "),
      mutedBy(name, mutings),
    ];
  });
  return [
    HEAD,
    table(["Alert", "Goes to", "Tells", "Who acts, and how", "Mutes"], rows),
    TAIL,
  ].join("\n\n");
}

const WAKES: Readonly<Record<string, string>> = {
  critical: "pagerduty",
  warning: "tickets",
};

function alertsOf(content: string): Told[] {
  const groups = parseDocument(content).get("groups");
  if (!isSeq(groups)) throw new TypeError("a file of rules without groups");
  return groups.items.flatMap((group) => {
    const rules = (group as YAMLMap).get("rules");
    if (!isSeq(rules)) return [];
    return rules.items.flatMap((node, index) => {
      if (!isMap(node) || !node.has("alert")) return [];
      // A comment above the first of a list is the list's.
      const comment = node.commentBefore ?? (index === 0 ? rules.commentBefore : undefined) ?? "";
      const { alert, labels, annotations } = node.toJSON() as {
        readonly alert: string;
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      };
      return [
        {
          alert,
          severity: labels["severity"] ?? "",
          window: labels["window"] ?? "",
          summary: annotations["summary"] ?? "",
          who: comment.replaceAll(/\s*\n\s*/g, " ").trim(),
        },
      ];
    });
  });
}

function mutedBy(alert: string, mutings: readonly Muting[]): string {
  return mutings
    .filter(({ source_matchers: [first = ""] }) => first === `alertname="${alert}"`)
    .map(({ source_matchers: [, ...more], target_matchers: [targets = "", ...others], equal }) => {
      const same = equal.filter((label) => label !== "cluster" && label !== "namespace");
      const when = more.length === 0 ? "" : `with ${more.map(code).join(", ")}: `;
      const which = others.length === 0 ? "" : ` with ${others.map(code).join(", ")}`;
      const within = same.length === 0 ? "" : `, of the same ${same.join(", ")}`;
      return `${when}${namesOf(targets).map(code).join(", ")}${which}${within}`;
    })
    .join("; ");
}

const code = (text: string): string => `\`${text}\``;

/** `alertname=~"A(B|C)|D"` is AB, AC and D. */
function namesOf(matcher: string): string[] {
  const [, pattern = ""] = /"(.*)"/.exec(matcher) ?? [];
  return [...pattern.matchAll(/(\w+)(?:\(([^)]*)\))?/g)].flatMap(([, start = "", ends]) =>
    ends === undefined ? [start] : ends.split("|").map((end) => start + end),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const HEAD = `<!-- Written by \`npm run generate\`, and by \`npm run alerts\` for other values, from scripts/alerts/page.ts and the rules. -->

# Alerts

| File | Holds |
| --- | --- |
| \`alerts/circuit-breaker.yml\` | the mandated alert, \`CircuitBreakerTripped\`; what stands around it, and why |
| \`alerts/switchgear.yml\` | alerts about breakers, and recording rules |
| \`alerts/slo.yml\` | service levels: success and latency, of each bookmaker and of all |
| \`alerts/process.yml\` | processes, stores, logs, and the way of alerts itself |
| \`alerts/alertmanager/alertmanager.yml\` | who hears what, what is one incident, what mutes what; no secret |
| \`alerts/prometheus/prometheus.yml\` | what Prometheus scrapes: Switchgear, itself, and Alertmanager |
| \`alerts/tests/\` | what each alert promises, for \`promtool test rules\` |
| \`alerts/values.yaml\` | everything that differs from one installation to the next |

Tested with Prometheus 3.15 and Alertmanager 0.31, built from their own modules by \`test/tools/build.ts\`.

## Your own values

Jobs, namespace, addresses, thresholds, objectives and windows stand in \`alerts/values.yaml\`. A file of yours
needs only what differs; rules, tests and configurations are rendered from it, and the tests that come with them
hold your values:

\`\`\`sh
npm run alerts -- --values my.yaml --out rendered
cd rendered/alerts
promtool check rules --lint=all --lint-fatal *.yml && promtool test rules tests/*.yml
amtool check-config alertmanager/alertmanager.yml
\`\`\`

## Before you load them

- Start Prometheus with \`--rules.alert.for-grace-period=1m\`; Prometheus Operator calls it
  \`spec.rules.alert.forGracePeriod: 1m\`. By default a restart of Prometheus forgets how long an alert has waited
  unless it waits ten minutes or more: every page of \`CircuitBreakerTripped\`, which waits for five, would resolve
  and come again.
- In a cluster, drop the scrape's own label \`endpoint\`. Otherwise Switchgear's label of that name arrives
  as \`exported_endpoint\`, and the alerts about endpoints find none.
- Where one Prometheus or one Alertmanager has several clusters, give their series or alerts the label
  \`cluster\`: groups and mutings keep to it. Without the label nothing changes.
- Scrape every 30 s or more often: states are looked for over the last two minutes, so that failed scrapes,
  restarts and pods that move neither begin a wait anew nor resolve a page.
- Put the key and the addresses that \`alertmanager.yml\` names below \`/etc/alertmanager/secrets\`.

## One cause, one page

\`critical\` goes to PagerDuty, \`warning\` to a place that is looked at in working hours. Two take other ways:
\`SwitchgearPagerDeliveryFailing\` goes through the second channel, since the pager is what fails, and
\`SwitchgearWatchdog\`, which always fires, to a dead man's switch, which wakes somebody when it stops. Each
bookmaker is an incident of its own, whatever number of replicas report it. What mutes another does so in its
own cluster and namespace only.`;

const TAIL = `## What to know on the night

- A page comes between 5 and 6 minutes after the trip and resolves 2 to 4 minutes after the reset
  ([measured](page-proof.md)), two of which are \`keep_firing_for\`. The last 20 s before it comes are
  Alertmanager's wait for what mutes it. Until it resolves PagerDuty is told again every 4 hours; of a ticket
  every 12 hours, and through the second channel every hour.
- Its text names the replicas that are tripped: an order given to one reaches the others where they share a Redis
  ([fleets](fleet.md)), and nowhere else.
- \`CircuitBreakerReplicaDisagreement\` says that some replicas refuse and others do not, whatever the cause;
  \`CircuitBreakerFleetSplit\` that replicas of a fleet do not hear of each other's orders, before it makes a difference
  to anybody. Where both are so, the second one is told.
- A bookmaker that trips while \`CircuitBreakerManyTripped\` fires is muted by it: it pages nobody, and shows in the
  number of that page only. Its runbook says how to see which came later.
- Alertmanager sends nothing for an alert that is muted, not even its end: an incident that was open before what
  mutes it came, such as a budget's before the trip, may stay open in PagerDuty, and is closed by hand.
- A namespace that is gone pages for a day (\`missedFor\`). One that was given up is silenced.
- Maintenance of one bookmaker is one silence for all its alerts, which ends by itself:
  [runbooks](../runbooks/README.md).

## How they are tested

Every alert answers the same questions, at least: it fires with these labels and texts; not one step before; it
resolves; what a missed scrape, a stale marker, replicas that disagree, absent series, other clusters and other
programs do. \`test/alerts\` refuses an alert that lacks one. The timelines are written once, in
\`scripts/alerts/timelines\`, and rendered with the values.

What is asked for must exist. Expressions are parsed with Prometheus' own grammar, the commands of the
runbooks are unquoted by the shell, and every series, label and fixed value in them is looked for in a
Prometheus that has scraped a Switchgear on which everything exists at once, an Alertmanager, and itself.

What is sent is compared whole: a real Alertmanager with these routes tells a stand-in for PagerDuty. What mutes
what is asked of it in pairs (\`test/alerts/muting.ts\`), beside the same alerts where nothing mutes them, and with
every other alert beside what mutes.

Alertmanager's configuration is changed, too: every matcher, label, receiver, order, wait and field of it, and
each alert that one more could be muted. A real Alertmanager reads each change. At least 97 % must be noticed; what
cannot be is listed in \`test/alerts/alertmanager-survivors.ts\` with the reason, and
\`node test/alerts/alertmanager-mutate.ts\` shows it.

The rules are changed one comparison, threshold, duration, aggregation, label or matcher at a time, and
their tests are asked about each change. At least 97 % must be noticed; what cannot be is listed in
\`test/alerts/survivors.ts\` with the reason. \`node test/alerts/mutate.ts\` shows it.
`;
