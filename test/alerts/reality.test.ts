// What rules, their texts and the runbooks' commands ask for, held against what there is: parsed with
// Prometheus' own grammar, asked of the series that the real programs hold.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pageNames, parsePage, readPage, variablesOf, type Page } from "../runbooks/page.ts";
import { whyNoTools } from "../tools/available.ts";
import { ANY, callsOf, patternsOf, queryOf } from "./commands.ts";
import { livePage } from "./exposition.ts";
import { seriesOfPrometheus } from "./live.ts";
import { Reality } from "./reality.ts";
import { RULE_FILES, readAlerts, readGroups, type Rule } from "./rule-files.ts";

// The real programs do the work, whichever runtime asks them.
const skip = "Bun" in globalThis ? "once is enough" : whyNoTools();

const rules = RULE_FILES.flatMap(readGroups).flatMap((group) => group.rules);
const pages = pageNames().map(readPage);

/** What is recorded when something ends that was: everything exists here, and nothing ends. */
const ENDED = "namespace_bookmaker:circuit_breaker_tripped:lost";

/** Series that come later than the first scrape: of rules, of Prometheus and of Alertmanager. */
const LATE = [
  ...rules.flatMap(({ record = ENDED }) => (record === ENDED ? [] : record)),
  "ALERTS",
  "scrape_samples_post_metric_relabeling",
  "prometheus_rule_evaluation_failures_total",
  "alertmanager_notifications_failed_total",
];

let page = "";
let reality = new Reality([]);

before(async () => {
  if (skip !== false) return;
  page = await livePage();
  const series = await seriesOfPrometheus(page, LATE);
  const ended = rules.find(({ record }) => record === ENDED);
  assert.ok(ended !== undefined);
  reality = new Reality(series).withRecord(ENDED, ended.expr).withAlerts(readAlerts());
});

const nameOf = ({ alert, record = "", labels = {} }: Rule): string =>
  alert === undefined ? record : `${alert} (${labels["window"] ?? labels["severity"] ?? ""})`;

/** Everything that is wrong with one rule. */
function faultsOfRule(rule: Rule): string[] {
  const { labels = new Set(), faults } = reality.ask(rule.expr);
  const all = [...faults];
  if (rule.alert !== undefined && !labels.has("namespace") && !rule.labels?.["namespace"]) {
    all.push("it has no namespace, which routes and inhibitions go by");
  }
  for (const [key, text] of Object.entries(rule.annotations ?? {})) {
    // Of `$labels` a text sees what the expression carries, and not what the rule adds.
    for (const [, label = ""] of text.matchAll(/\$labels\.(\w+)/g)) {
      if (!labels.has(label)) all.push(`${key}: the expression carries no ${label}`);
    }
    for (const query of queriesOfText(text)) {
      all.push(...reality.ask(query).faults.map((fault) => `${key}: ${fault}`));
    }
  }
  return all.map((fault) => `${nameOf(rule)}: ${fault}`);
}

function queriesOfText(text: string): string[] {
  return [...text.matchAll(/printf `([^`]*)`[^}]*\| query/g)].map(([, format = ""]) =>
    format.replaceAll("%q", `"${ANY}"`),
  );
}

/** Everything that is wrong with what one page asks for. */
function faultsOfPage({ name, text, blocks }: Page): string[] {
  const lines = page.split("\n");
  const imagined = shown(text)
    .filter((metric) => !reality.has(metric))
    .map((metric) => `${name}: it shows ${metric}, which there is not`);
  const asked = blocks.flatMap((block) => {
    const { commands, section } = block;
    const faults: string[] = [];
    if (/promtool query|\/metrics\b/.test(commands)) {
      for (const call of callsOf(block, variablesOf(block))) {
        const query = queryOf(call);
        if (query !== undefined) faults.push(...reality.ask(query).faults);
        const isOurs = call.from.startsWith("http://switchgear/");
        for (const pattern of patternsOf(call)) {
          if (isOurs && !lines.some((line) => new RegExp(pattern).test(line))) {
            faults.push(`no line of /metrics is like ${pattern}`);
          }
          const [, metric] = /^\^(\w+)/.exec(pattern) ?? [];
          if (!isOurs && (metric === undefined || !reality.has(metric))) {
            faults.push(`there is no ${metric ?? pattern} at ${call.from}`);
          }
        }
      }
    }
    return [...new Set(faults)].map((fault) => `${name}, ${section}: ${fault}`);
  });
  return [...imagined, ...asked];
}

/** Names of series in what commands show, with labels after them or a value. */
function shown(text: string): string[] {
  const outputs = [...text.matchAll(/^```text.*\n([\s\S]*?)^```$/gm)].map(([, body = ""]) => body);
  const series = /(?<![\w/.])((?:circuit_breaker|switchgear|load_shed)_\w+)(?=\{| [\d…])/g;
  return [...outputs.join("\n").matchAll(series)].map(([, metric = ""]) => metric);
}

test(
  "every rule and every text of it asks for what exists, and carries what it says",
  { skip },
  () => {
    assert.deepEqual(rules.flatMap(faultsOfRule), []);
    const queries = rules.flatMap(({ annotations = {} }) =>
      Object.values(annotations).flatMap(queriesOfText),
    );
    assert.equal(queries.length, 5);
  },
);

test("every command of a runbook asks for what exists", { skip }, () => {
  assert.deepEqual(pages.flatMap(faultsOfPage), []);
});

test("no query of a runbook is passed by", () => {
  let seen = 0;
  for (const { name, blocks } of pages) {
    for (const block of blocks) {
      const written = [...block.commands.matchAll(/promtool query/g)].length;
      if (written === 0) continue;
      const read = new Set(callsOf(block, variablesOf(block)).map(queryOf));
      read.delete(undefined);
      assert.equal(read.size, written, `${name}: ${block.commands}`);
      seen += written;
    }
  }
  assert.ok(seen >= 40);
});

test("a mistake in a rule is told with its place", { skip }, () => {
  const mistakes: readonly (readonly [alert: string, from: string, to: string, fault: string])[] = [
    ["Tripped", "_tripped{", "_open{", "Tripped (critical): there is no circuit_breaker_open"],
    ["Tripped", " bookmaker=~", " upstream=~", "circuit_breaker_tripped has no label upstream"],
    ["Tripped", "== 1", "== 1 and", "Tripped (critical): no PromQL: "],
    [
      "Tripped",
      "_failures_1m{",
      "_failures_5m{",
      "description: there is no circuit_breaker_failures_5m",
    ],
    [
      "Tripped",
      "namespace=%q",
      "pod=%q",
      "description: circuit_breaker_failures_1m has no label pod",
    ],
    ["Tripped", "for {{ $labels.bookmaker", "for {{ $labels.upstream", "carries no upstream"],
    ["LoadShedding", "load_shed", "overload", 'never has reason="overload"'],
    ["LoadShedding", "bookmaker) (rate(c", "upstream) (rate(c", "nothing has upstream in sum by"],
    [
      "LoadShedding",
      "bookmaker) (rate(c",
      "reason) (rate(c",
      "(cluster,namespace,reason) never matches (",
    ],
    ["ReplicaDisagreement", 'job="switchgear"', 'job="gateway"', 'never has job="gateway"'],
    ["WindowOpen", 'bookmaker=~".+"', 'bookmaker=~"[0-9]+"', 'never has bookmaker="[0-9]+"'],
    ["Flapping", "namespace, ", "", "has no namespace"],
    [
      "Flapping",
      "{{ $value",
      "{{ $labels.endpoint",
      "description: the expression carries no endpoint",
    ],
  ];
  for (const [name, from, to, fault] of mistakes) {
    const alert = `CircuitBreaker${name}`;
    const rule = rules.find((one) => one.alert === alert);
    assert.ok(rule !== undefined);
    const change = (text: string): string => text.replace(from, to);
    const { expr, annotations = {} } = rule;
    const changed = {
      ...rule,
      expr: change(expr),
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([key, text]) => [key, change(text)]),
      ),
    };
    assert.notDeepEqual(changed, rule, `${alert} has no ${from}`);
    const faults = faultsOfRule(changed);
    assert.ok(
      faults.some((one) => one.startsWith(`${alert} (`) && one.includes(fault)),
      `${fault} is not told: ${faults.join("\n")}`,
    );
  }
});

test("a mistake on a page is told with its place", { skip }, () => {
  const ask = (query: string): string => `promtool query instant "$PROMETHEUS_URL" ${query}`;
  const look = (options: string): string => `curl -sS "$SWITCHGEAR_URL/metrics" | grep ${options}`;
  const mistakes: readonly (readonly [command: string, fault: string | undefined])[] = [
    [ask('"circuit_breaker_tripped{bookmaker=\\"$BOOKMAKER\\"}"'), undefined],
    [ask("'circuit_breaker_open'"), "there is no circuit_breaker_open"],
    [ask('"up{node=\\"$NODE\\"}"'), "up has no label node"],
    [ask(`'up{job="gateway"}'`), 'up never has job="gateway"'],
    [ask(`'{__name__="uptime"}'`), "there is no uptime"],
    [ask(`'ALERTS{alertname="Tripped"}'`), 'ALERTS never has alertname="Tripped"'],
    [ask(`'ALERTS{severity="page"}'`), 'ALERTS never has severity="page"'],
    [
      ask(`'ALERTS{alertname="SwitchgearWatchdog",severity="critical"}'`),
      "no ALERTS has all of alertname, severity like this",
    ],
    [ask("'sum(up'"), "no PromQL: sum(up ⟨here⟩"],
    [look("-E '^switchgear_store_(up|pending)'"), undefined],
    [
      look("-E '^switchgear_store_(up|waiting)'"),
      "no line of /metrics is like ^switchgear_store_waiting",
    ],
    [look('-F "tripped{bookmaker=\\"$BOOKMAKER\\"}"'), undefined],
    [look('-F "tripped{name=\\"$BOOKMAKER\\"}"'), "no line of /metrics is like"],
    [
      look("x").replace("SWITCHGEAR", "ALERTMANAGER").replace("x", "'^alertmanager_sent'"),
      "there is no alertmanager_sent at http://alertmanager/metrics",
    ],
  ];
  for (const [command, fault] of mistakes) {
    const text = `# X\n\n## Verify\n\n\`\`\`sh\n${command}\n\`\`\`\n`;
    const faults = faultsOfPage(parsePage("X", text));
    if (fault === undefined) assert.deepEqual(faults, [], command);
    else {
      assert.equal(faults.length, 1, `${command}: ${faults.join()}`);
      assert.ok(faults[0]?.startsWith(`X, Verify: ${fault}`), faults[0]);
    }
  }
  const shows = "# X\n\n## Verify\n\n```text\nswitchgear_store_up 0\nswitchgear_stores_up 0\n```\n";
  assert.deepEqual(faultsOfPage(parsePage("X", shows)), [
    "X: it shows switchgear_stores_up, which there is not",
  ]);
});
