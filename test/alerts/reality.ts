// Holds what is asked for against what there is: names of series, labels, and values of labels that
// somebody wrote down. A fault is a sentence that names the thing.

import { OVERFLOW_NAME } from "../../src/pipeline/call/stats.ts";
import { ANY, alternatives } from "./commands.ts";
import type { Labels } from "./live.ts";
import { parseQuery, resultOf, type Matcher, type Selector } from "./promql.ts";
import type { Alert } from "./rule-files.ts";

export interface Answer {
  /** Undefined when it is a number and no series. */
  readonly labels: ReadonlySet<string> | undefined;
  readonly faults: readonly string[];
}

/** Values that only a page shows which is too large for these tests. */
const BEYOND: Readonly<Record<string, readonly string[]>> = {
  bookmaker: [OVERFLOW_NAME],
  // As Prometheus 2 stores it.
  le: ["1"],
};

export class Reality {
  readonly #byName: ReadonlyMap<string, readonly Labels[]>;
  readonly #all: readonly Labels[];

  constructor(series: readonly Labels[]) {
    this.#all = series;
    this.#byName = Map.groupBy(series, ({ __name__ = "" }) => __name__);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** With `ALERTS` of what the rules can fire, whatever fires in this world at the moment. */
  withAlerts(alerts: readonly Alert[]): Reality {
    const possible = alerts.flatMap(({ alert, expr, labels }) => {
      const kept = [...(this.ask(expr).labels ?? [])].filter((label) => label !== "__name__");
      const carried = Object.fromEntries(kept.map((label) => [label, ANY]));
      const own = { __name__: "ALERTS", alertname: alert, ...carried, ...labels };
      return ["pending", "firing"].map((alertstate) => Object.assign({ alertstate }, own));
    });
    return new Reality([...this.#all.filter(({ __name__ }) => __name__ !== "ALERTS"), ...possible]);
  }

  /** With what a rule would record, of something that this world has not seen. */
  withRecord(record: string, expr: string): Reality {
    const kept = [...(this.ask(expr).labels ?? [])].filter((label) => label !== "__name__");
    const carried = Object.fromEntries(kept.map((label) => [label, ANY]));
    return new Reality([...this.#all, { __name__: record, ...carried }]);
  }

  ask(text: string): Answer {
    let query;
    try {
      query = parseQuery(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return { labels: undefined, faults: [error.message] };
    }
    const faults = query.selectors.flatMap((selector) => this.#faultsOf(selector));
    const result = resultOf(query, (selector) => labelsOf(this.#selected(selector)));
    return { labels: result.labels, faults: [...faults, ...result.faults] };
  }

  #of({ metric }: Selector): readonly Labels[] {
    return metric === undefined ? this.#all : (this.#byName.get(metric) ?? []);
  }

  #selected(selector: Selector): readonly Labels[] {
    return this.#of(selector).filter((series) =>
      selector.matchers.every(
        ({ operator, label, value }) =>
          value === ANY ||
          operator.startsWith("!") ||
          matches(operator, value, series[label] ?? ""),
      ),
    );
  }

  #faultsOf(selector: Selector): string[] {
    const series = this.#of(selector);
    const { metric = "any series", matchers } = selector;
    if (series.length === 0) return [`there is no ${metric}`];
    const faults = matchers.flatMap((matcher) => faultsOfMatcher(metric, matcher, series));
    if (faults.length > 0 || this.#selected(selector).length > 0) return faults;
    return [`no ${metric} has all of ${matchers.map(({ label }) => label).join(", ")} like this`];
  }
}

function labelsOf(series: readonly Labels[]): Set<string> {
  return new Set(series.flatMap((one) => Object.keys(one)).filter((label) => label !== "__name__"));
}

function faultsOfMatcher(
  metric: string,
  { label, operator, value }: Matcher,
  series: readonly Labels[],
): string[] {
  if (!series.some((one) => label in one)) return [`${metric} has no label ${label}`];
  if (value === ANY) return [];
  const values = new Set([...series.map((one) => one[label] ?? ""), ...(BEYOND[label] ?? [])]);
  // What is left out must exist, too, or leaving it out means nothing.
  return (operator.endsWith("~") ? alternatives(value) : [value])
    .filter((one) => ![...values].some((known) => matches(operator, one, known)))
    .map((one) => `${metric} never has ${label}="${one}"`);
}

/** Whether a value is what the matcher speaks of, be it to take it or to leave it out. */
function matches(operator: string, wanted: string, value: string): boolean {
  return operator.endsWith("~") ? new RegExp(`^(?:${wanted})$`, "s").test(value) : wanted === value;
}
