// What shrinks and what must not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import {
  compressAlertmanager,
  compressDuration,
  compressExpression,
  compressRules,
  durationMs,
} from "./compress.ts";

test("durations are read as Prometheus reads them", () => {
  assert.deepEqual(
    ["5m", "1h30m", "250ms", "0", "0s", "1d", "1w"].map(durationMs),
    [300_000, 5_400_000, 250, 0, 0, 86_400_000, 604_800_000],
  );
  for (const bad of ["5", "m", "5 m", "5min", ""]) assert.throws(() => durationMs(bad), RangeError);
  assert.deepEqual(
    ["5m", "15s", "4h", "0s"].map((text) => compressDuration(text)),
    ["5000ms", "250ms", "240000ms", "0ms"],
  );
});

test("an expression keeps its words, labels and numbers; ranges and offsets shrink", () => {
  const expr =
    'sum by (bookmaker) (rate(x_total{reason="5m", y=~"[0-9]m"}[5m])) > 0.5 and y offset 10m > 300 or max_over_time(z[1h:30s]) == bool 1 offset -1h';
  assert.equal(
    compressExpression(expr),
    'sum by (bookmaker) (rate(x_total{reason="5m", y=~"[0-9]m"}[5000ms])) > 0.5 and y offset 10000ms > 300 or max_over_time(z[60000ms:500ms]) == bool 1 offset -60000ms',
  );
  assert.equal(compressExpression("max_over_time(z[1h:])"), "max_over_time(z[60000ms:])");
});

test("a rule file keeps names, labels and annotations", () => {
  const text = `
groups:
  - name: g
    interval: 15s
    rules:
      - { record: "a:b:c", expr: "rate(x[5m])" }
      - alert: A
        expr: x == 1
        for: 5m
        keep_firing_for: 2m
        labels: { severity: critical }
        annotations: { summary: "tripped for 5m", runbook_url: "https://runbooks.example/A.md" }
`;
  assert.deepEqual(parse(compressRules(text)), {
    groups: [
      {
        name: "g",
        interval: "250ms",
        rules: [
          { record: "a:b:c", expr: "rate(x[5000ms])" },
          {
            alert: "A",
            expr: "x == 1",
            for: "5000ms",
            keep_firing_for: "2000ms",
            labels: { severity: "critical" },
            annotations: {
              summary: "tripped for 5m",
              runbook_url: "https://runbooks.example/A.md",
            },
          },
        ],
      },
    ],
  });
});

test("routes shrink, and only what is asked for is replaced", () => {
  const text = `
route:
  receiver: pager
  group_wait: 0s
  routes: [{ receiver: pager, group_interval: 1m, repeat_interval: 4h }]
receivers:
  - name: pager
    pagerduty_configs: [{ routing_key_file: /etc/key, description: "5m", timeout: 10s }]
`;
  const replaced = compressAlertmanager(text, (key, value) =>
    key === "routing_key_file" ? "/tmp/key" : value,
  );
  assert.deepEqual(parse(replaced), {
    route: {
      receiver: "pager",
      group_wait: "0ms",
      routes: [{ receiver: "pager", group_interval: "1000ms", repeat_interval: "240000ms" }],
    },
    receivers: [
      {
        name: "pager",
        pagerduty_configs: [{ routing_key_file: "/tmp/key", description: "5m", timeout: "10s" }],
      },
    ],
  });
});
