// Changes to Alertmanager's configuration that nobody can notice, each with the reason. A test sees to it that
// no excuse is of a change that does not exist.

const DISJOINT = "no alert is taken by both, so their order is nobody's concern";
const LAST = "no route after it takes the same severity";
const TICKETS = "what no route takes goes to tickets, too: it stands there to be read";
const ALREADY =
  "what it would mute besides is muted by another rule, or is what mutes, and nothing mutes what mutes by one rule";

export const REASONS: readonly (readonly [ids: RegExp, reason: string])[] = [
  [/^route severity.*: continue$/, LAST],
  [/^route severity="warning": (dropped|no receiver)$/, TICKETS],
  [/^route severity.*: swapped with /, DISJOINT],
  [/Watchdog": swapped with route alertname="SwitchgearPagerDeliveryFailing"$/, DISJOINT],
  [/Burn" severity="critical" bookmaker="": target without bookmaker!=""$/, ALREADY],
  [/Burn" severity="critical": target without severity="warning"$/, ALREADY],
  [
    /^mute by alertname="SwitchgearDown" of .*InstanceDown.*: target has SwitchgearSeriesMissing, too$/,
    ALREADY,
  ],
];

/** Undefined when nothing excuses it. */
export function reasonFor(id: string): string | undefined {
  return REASONS.find(([ids]) => ids.test(id))?.[1];
}
