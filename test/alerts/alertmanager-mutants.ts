// Alertmanager's configuration with one thing wrong: what somebody could mistype, or think better of.

import { routesOf, type Config, type InhibitRule, type Route, type Way } from "./routing.ts";

export interface Mutant {
  /** Unique and stable: survivors are listed by it. */
  readonly id: string;
  readonly config: Config;
}

type Change = readonly [what: string, change: (config: Config) => void];

export function mutantsOf(config: Config, alerts: readonly string[]): Mutant[] {
  const changes = [
    ...config.inhibit_rules.flatMap((rule, at) => mutings(rule, at, config.inhibit_rules, alerts)),
    ...routes(config),
    ...times(config),
    ...receivers(config),
  ];
  return changes.map(([id, change]) => {
    const changed = structuredClone(config);
    change(changed);
    return { id, config: changed };
  });
}

function mutings(
  rule: InhibitRule,
  at: number,
  all: readonly InhibitRule[],
  alerts: readonly string[],
): Change[] {
  // Two rules may have one source; then what is muted tells them apart.
  const by = rule.source_matchers.join(" ");
  const isOnly = all.filter((one) => one.source_matchers.join(" ") === by).length === 1;
  const name = `mute by ${by}${isOnly ? "" : ` of ${rule.target_matchers.join(" ")}`}`;
  const on = (what: string, change: (rule: InhibitRule) => void): Change => [
    `${name}: ${what}`,
    ({ inhibit_rules: rules }) => {
      const changed = rules[at];
      if (changed !== undefined) change(changed);
    },
  ];
  return [
    [`${name}: dropped`, ({ inhibit_rules: rules }) => void rules.splice(at, 1)],
    on("source and target swapped", (one) => {
      [one.source_matchers, one.target_matchers] = [one.target_matchers, one.source_matchers];
    }),
    ...matchers(rule.source_matchers).map(([what, list]) =>
      on(`source ${what}`, (one) => void (one.source_matchers = list)),
    ),
    ...[...matchers(rule.target_matchers), ...wider(rule, alerts)].map(([what, list]) =>
      on(`target ${what}`, (one) => void (one.target_matchers = list)),
    ),
    ...without(rule.equal).map(([what, list]) =>
      on(`equal ${what}`, (one) => void (one.equal = list)),
    ),
  ];
}

/** One alert more that is muted. Where more than its name is asked, a name is not all there is to it. */
function wider(
  { source_matchers: sources, target_matchers: targets }: InhibitRule,
  alerts: readonly string[],
): [what: string, list: string[]][] {
  const [target = "", ...rest] = targets;
  if (rest.length > 0) return [];
  const [, names = ""] = /^alertname=~?"(.*)"$/.exec(target) ?? [];
  const isNamed = new RegExp(`^(?:${names})$`);
  return alerts
    .filter((alert) => !isNamed.test(alert) && !sources.includes(`alertname="${alert}"`))
    .map((alert) => [`has ${alert}, too`, [`alertname=~"${names}|${alert}"`]]);
}

function without(list: readonly string[]): [what: string, list: string[]][] {
  return list.map((one) => [`without ${one}`, list.filter((other) => other !== one)]);
}

const NEGATED: Readonly<Record<string, string>> = { "=": "!=", "!=": "=", "=~": "!~", "!~": "=~" };

/** Each left out, each turned round, and each alternative left out. */
function matchers(list: readonly string[]): [what: string, list: string[]][] {
  return [
    ...without(list),
    ...list.flatMap((matcher, at): [string, string[]][] => {
      const [, label = "", sign = "", value = ""] = /^(\w+)([=!~]+)"(.*)"$/.exec(matcher) ?? [];
      const put = (text: string): string[] => list.toSpliced(at, 1, text);
      const negated = `${label}${NEGATED[sign]}"${value}"`;
      const names = sign === "=~" ? [...value.matchAll(/\w+(?=[|)]|$)/g)] : [];
      return [
        [negated, put(negated)],
        ...names.map(({ 0: name, index }): [string, string[]] => {
          // A name that no alert has, so that what stands around it may stay.
          const changed = `${value.slice(0, index)}Nothing${value.slice(index + name.length)}`;
          return [`without ${name} in ${label}`, put(`${label}=~"${changed}"`)];
        }),
      ];
    }),
  ];
}

function routes(config: Config): Change[] {
  const receivers = config.receivers.map(({ name }) => name);
  const children = config.route.routes ?? [];
  return [
    ...routesOf(config.route).flatMap((route, at) => ofRoute(route, at, receivers)),
    ...children.map((route, at) => onChildren(`${nameOf(route)}: dropped`, at, at)),
    ...children.flatMap((route, at) =>
      children
        .slice(at + 1)
        .map((other, more) =>
          onChildren(`${nameOf(route)}: swapped with ${nameOf(other)}`, at, at + 1 + more),
        ),
    ),
  ];
}

function ofRoute(route: Route, at: number, receivers: readonly string[]): Change[] {
  return [
    ...receivers
      .filter((name) => name !== route.receiver)
      .map((name) => onRoute(route, at, `receiver ${name}`, (one) => void (one.receiver = name))),
    ...without(route.group_by ?? []).map(([what, list]) =>
      onRoute(route, at, `group_by ${what}`, (one) => void (one.group_by = list)),
    ),
    ...(at === 0
      ? [onRoute(route, at, "group_by everything", (one) => void (one.group_by = ["..."]))]
      : [
          onRoute(route, at, "no receiver", (one) => void delete one.receiver),
          onRoute(route, at, "group_by alertname", (one) => {
            one.group_by = ["alertname"];
          }),
          onRoute(route, at, "continue", (one) => {
            one.continue = one.continue !== true;
          }),
        ]),
    ...matchers(route.matchers ?? []).map(([what, list]) =>
      onRoute(route, at, what, (one) => void (one.matchers = list)),
    ),
  ];
}

const nameOf = ({ matchers: list = [] }: Route): string => `route ${list.join(" ")}`.trim();

function onRoute(route: Route, at: number, what: string, change: (route: Route) => void): Change {
  return [
    `${nameOf(route)}: ${what}`,
    (config) => {
      const changed = routesOf(config.route)[at];
      if (changed !== undefined) change(changed);
    },
  ];
}

/** Swaps two children, or drops one. */
function onChildren(id: string, a: number, b: number): Change {
  return [
    id,
    ({ route: { routes: list = [] } }) => {
      const [first, second] = [list[a], list[b]];
      if (first === undefined || second === undefined) return;
      if (a === b) list.splice(a, 1);
      else [list[a], list[b]] = [second, first];
    },
  ];
}

const TIMES = ["group_wait", "group_interval", "repeat_interval"] as const;

function times(config: Config): Change[] {
  return [
    ...routesOf(config.route).flatMap((route, at) =>
      TIMES.flatMap((key) => ofTime(route, at, key)),
    ),
    ...Object.entries(config.global)
      .filter(([key]) => key === "resolve_timeout")
      .flatMap(([key, value]) =>
        others(value).map((other): Change => [
          `global: ${key} ${other}`,
          ({ global }) => void (global[key] = other),
        ]),
      ),
  ];
}

function ofTime(route: Route, at: number, key: (typeof TIMES)[number]): Change[] {
  const value = route[key];
  if (value === undefined) return [];
  return [
    onRoute(route, at, `no ${key}`, (one) => void delete one[key]),
    ...others(value).map((other) =>
      onRoute(route, at, `${key} ${other}`, (one) => void (one[key] = other)),
    ),
  ];
}

/** Half and twice as long; nothing has neither. */
function others(duration: string): string[] {
  const [, count = "", unit = ""] = /^(\d+)([smh])$/.exec(duration) ?? [];
  const seconds = Number(count) * ({ s: 1, m: 60, h: 3600 }[unit] ?? Number.NaN);
  return seconds === 0 ? ["10s"] : [`${seconds / 2}s`, `${seconds * 2}s`];
}

function receivers(config: Config): Change[] {
  const files = config.receivers
    .flatMap(({ webhook_configs: ways = [] }) => ways)
    .map((way) => way["url_file"]);
  return config.receivers.flatMap(
    ({ name, pagerduty_configs: pages, webhook_configs: hooks }, at) => {
      const kind = pages === undefined ? "webhook_configs" : "pagerduty_configs";
      const [way] = pages ?? hooks ?? [];
      if (way === undefined) return [];
      const on = (what: string, change: (way: Way) => void): Change => [
        `receiver ${name}: ${what}`,
        (changed) => {
          const [one] = changed.receivers[at]?.[kind] ?? [];
          if (one !== undefined) change(one);
        },
      ];
      return [
        [
          `receiver ${name}: hears nothing`,
          (changed) => {
            changed.receivers[at] = { name };
          },
        ],
        on(`send_resolved turned round`, (one) => {
          one["send_resolved"] = one["send_resolved"] !== true;
        }),
        ...files
          .filter((file) => way["url_file"] !== undefined && file !== way["url_file"])
          .map((file) => on(`url_file ${String(file)}`, (one) => void (one["url_file"] = file))),
        // Without a key or an address it is no configuration.
        ...Object.keys(way)
          .filter((key) => !key.endsWith("_file"))
          .map((key) => on(`no ${key}`, (one) => void delete one[key])),
        ...fields(way).map(([what, change]) => on(what, change)),
      ];
    },
  );
}

type Field = readonly [what: string, change: (way: Way) => void];

/** What stands inside PagerDuty's fields. */
function fields(way: Way): Field[] {
  const { details, links } = way as { details?: Way; links?: Way[] };
  return [
    ...Object.entries(way)
      .filter(([key, value]) => typeof value === "string" && !key.endsWith("_file"))
      .map(([key]): Field => [
        `${key} of another kind`,
        (one) => void (one[key] = key === "severity" ? "error" : "other"),
      ]),
    ...Object.keys(details ?? {}).map((key): Field => [
      `details without ${key}`,
      (one) => void delete (one["details"] as Way)[key],
    ]),
    ...(links ?? []).flatMap((link, at) => ofLink(link, at)),
  ];
}

function ofLink(link: Way, at: number): Field[] {
  const name = String(link["text"]);
  return [
    [`links without ${name}`, (one) => void (one["links"] as Way[]).splice(at, 1)],
    ...Object.keys(link).map((key): Field => [
      `link ${name} without ${key}`,
      (one) => void delete (one["links"] as Way[])[at]?.[key],
    ]),
  ];
}
