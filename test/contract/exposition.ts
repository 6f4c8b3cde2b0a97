// A strict reader of Prometheus' text format 0.0.4, for tests: it throws at whatever a scraper, or
// promtool, might refuse or misread.

import assert from "node:assert/strict";

export interface ExpositionSample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface ExpositionFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: ExpositionSample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const VALUE = /^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf)$/;

export function parseExposition(text: string): Map<string, ExpositionFamily> {
  assert.ok(text.endsWith("\n"), "the last line must end in a newline");
  const families = new Map<string, ExpositionFamily>();
  const seen = new Set<string>();
  let current: { name: string; help: string; family?: ExpositionFamily } | undefined;
  for (const line of text.split("\n").slice(0, -1)) {
    if (line.startsWith("# HELP ")) {
      const [, name = "", help = ""] = /^# HELP (\S+) (.+)$/.exec(line) ?? [];
      assert.match(name, NAME, line);
      assert.ok(!families.has(name), `second HELP line for ${name}`);
      current = { name, help };
    } else if (line.startsWith("# TYPE ")) {
      const [, name = "", type = ""] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
      assert.equal(name, current?.name, `TYPE must follow its HELP: ${line}`);
      assert.equal(current?.family, undefined, `second TYPE line for ${name}`);
      const family = { help: current?.help ?? "", type, samples: [] };
      families.set(name, family);
      if (current !== undefined) current.family = family;
    } else {
      assert.ok(!line.startsWith("#"), `unexpected comment: ${line}`);
      const sample = parseSample(line);
      const { name, family } = current ?? {};
      assert.ok(name !== undefined && family !== undefined, `sample before TYPE: ${line}`);
      const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      const belongs = suffixes.some((suffix) => sample.name === name + suffix);
      assert.ok(belongs, `${sample.name} stands among the samples of ${name}`);
      const identity = `${sample.name} ${[...sample.labels]
        .map((label) => JSON.stringify(label))
        .toSorted()
        .join()}`;
      assert.ok(!seen.has(identity), `duplicate sample: ${line}`);
      seen.add(identity);
      family.samples.push(sample);
    }
  }
  for (const [name, family] of families)
    if (family.type === "histogram") checkHistogram(name, family);
  return families;
}

function parseSample(line: string): ExpositionSample {
  const name = /^[^{ ]+/.exec(line)?.[0] ?? "";
  assert.match(name, NAME, line);
  const labels = new Map<string, string>();
  let at = name.length;
  if (line[at] === "{") {
    at += 1;
    while (line[at] !== "}") {
      const equals = line.indexOf('="', at);
      assert.ok(equals > 0, `no label: ${line}`);
      const label = line.slice(at, equals);
      assert.match(label, LABEL, line);
      assert.ok(!labels.has(label), `duplicate label ${label}: ${line}`);
      const { value, end } = parseQuoted(line, equals + 2);
      labels.set(label, value);
      at = end;
      if (line[at] === ",") at += 1;
      else assert.equal(line[at], "}", line);
    }
    at += 1;
  }
  assert.equal(line[at], " ", line);
  const value = line.slice(at + 1);
  assert.match(value, VALUE, line);
  return { name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
}

function parseQuoted(line: string, start: number): { value: string; end: number } {
  let value = "";
  for (let at = start; at < line.length; at += 1) {
    const character = line[at] ?? "";
    if (character === '"') {
      assert.ok(value.isWellFormed(), "label values must be Unicode");
      return { value, end: at + 1 };
    }
    if (character === "\\") {
      at += 1;
      const unescaped = { "\\": "\\", '"': '"', n: "\n" }[line[at] ?? ""];
      assert.ok(unescaped !== undefined, `unknown escape: ${line}`);
      value += unescaped;
    } else value += character;
  }
  throw new Error(`label value without an end: ${line}`);
}

function checkHistogram(name: string, family: ExpositionFamily): void {
  const series = new Map<
    string,
    { bounds: number[]; counts: number[]; count?: number; sum?: number }
  >();
  for (const { name: part, labels, value } of family.samples) {
    const key = JSON.stringify([...labels].filter(([label]) => label !== "le"));
    const entry = series.get(key) ?? { bounds: [], counts: [] };
    series.set(key, entry);
    if (part === `${name}_count`) entry.count = value;
    else if (part === `${name}_sum`) entry.sum = value;
    else {
      const le = labels.get("le");
      entry.bounds.push(le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le));
      entry.counts.push(value);
    }
  }
  for (const [key, { bounds, counts, count, sum }] of series) {
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, `${name}${key}: the last bucket is +Inf`);
    assert.equal(counts.at(-1), count, `${name}${key}: the last bucket is the count`);
    assert.ok(sum !== undefined && sum >= 0, `${name}${key}: a sum`);
    for (let index = 1; index < bounds.length; index += 1) {
      assert.ok((bounds[index] ?? 0) > (bounds[index - 1] ?? 0), `${name}${key}: bounds rise`);
      assert.ok((counts[index] ?? 0) >= (counts[index - 1] ?? 0), `${name}${key}: counts cumulate`);
    }
  }
}

/** The value of one series; undefined when there is none. */
export function sampleOf(
  families: ReadonlyMap<string, ExpositionFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ""));
  const wanted = Object.entries(labels);
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      sample.labels.size === wanted.length &&
      wanted.every(([label, value]) => sample.labels.get(label) === value),
  )?.value;
}
