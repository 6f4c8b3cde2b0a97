// The questions that the tests of every alert must answer. Each alert has a test case of each name; what
// follows the name, after a colon or as an aside, says how it answers.

import { seconds, type Case, type TestFile } from "./rule-files.ts";

export const CASES = [
  "fires",
  "does not fire one step before",
  "resolves",
  "survives a missed scrape",
  "stale marker",
  "two replicas that disagree",
  "absent series",
] as const;

/** What is missing in the cases of one alert, or of one of its severities or windows. */
export function faultsOf(
  alert: string,
  variant: string | undefined,
  files: readonly TestFile[],
): string[] {
  const tests = files.filter((file) => file.alert === alert).flatMap((file) => file.tests);
  const faults: string[] = [];
  for (const name of CASES) {
    const found = tests.find((test) => isCase(test, name, variant));
    if (found === undefined) faults.push(`no case "${name}"`);
    else if (!asks(found, alert)) faults.push(`"${found.name}" asks nothing about ${alert}`);
  }
  const fires = tests.find((test) => isCase(test, "fires", variant));
  const before = tests.find((test) => isCase(test, "does not fire one step before", variant));
  if (fires !== undefined && before !== undefined) faults.push(...edgeFaults(fires, before));
  return faults;
}

/** Whether this case answers that question, for that severity or window. */
export function isCase({ name }: Case, wanted: string, variant: string | undefined): boolean {
  const start = variant === undefined ? wanted : `${wanted}, ${variant}`;
  return name === start || (name.startsWith(start) && /^[: ]/.test(name.slice(start.length)));
}

function asks(test: Case, alert: string): boolean {
  return (
    (test.alert_rule_test ?? []).some(({ alertname }) => alertname === alert) ||
    (test.promql_expr_test ?? []).some(({ expr }) => expr.startsWith(`ALERTS{alertname="${alert}"`))
  );
}

/** The alert is whole when it fires, and does not fire a second earlier on the same series. */
function edgeFaults(fires: Case, before: Case): string[] {
  const [first] = fires.alert_rule_test ?? [];
  const expected = first?.exp_alerts?.[0];
  if (first === undefined || expected?.exp_annotations === undefined) {
    return [`"${fires.name}" does not give labels and annotations`];
  }
  const atSeconds = seconds(first.eval_time);
  // Nothing comes before the first evaluation.
  if (atSeconds === 0) return [];
  if (JSON.stringify(fires.input_series) !== JSON.stringify(before.input_series)) {
    return [`"${before.name}" has other series than "${fires.name}"`];
  }
  const asked = (before.alert_rule_test ?? []).filter(({ exp_alerts }) => exp_alerts === undefined);
  if (asked.some(({ eval_time }) => seconds(eval_time) === atSeconds - 1)) return [];
  return [`"${before.name}" does not look one second before ${first.eval_time}`];
}
