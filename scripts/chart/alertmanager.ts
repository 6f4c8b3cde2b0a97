// alerts/alertmanager/alertmanager.yml as the spec of an AlertmanagerConfig: other names for the same fields, Secrets
// in place of files, and no `global`, which is the cluster's own. What goes by a name, such as which Secret holds the
// key, is filled in by the chart (templates/monitoring/alertmanagerconfig.yaml).

import { parse, stringify } from "yaml";
import { HELM_YAML } from "./yaml.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Route extends Fields {
  readonly matchers?: readonly string[];
  readonly routes?: readonly Route[];
}

interface Receiver {
  readonly name: string;
  readonly pagerduty_configs?: readonly Fields[];
  readonly webhook_configs?: readonly Fields[];
}

interface Muting {
  readonly source_matchers: readonly string[];
  readonly target_matchers: readonly string[];
  readonly equal: readonly string[];
}

interface Routing {
  readonly route: Route;
  readonly inhibit_rules: readonly Muting[];
  readonly receivers: readonly Receiver[];
}

export function alertmanagerConfigSpec(alertmanager: string): string {
  const { route, inhibit_rules, receivers } = parse(alertmanager) as Routing;
  const spec = {
    route: routeOf(route),
    inhibitRules: inhibit_rules.map(({ source_matchers, target_matchers, equal }) => ({
      sourceMatch: source_matchers.map(matcherOf),
      targetMatch: target_matchers.map(matcherOf),
      equal,
    })),
    receivers: receivers.map(receiverOf),
  };
  return stringify(spec, HELM_YAML);
}

function receiverOf({ name, pagerduty_configs, webhook_configs }: Receiver): Fields {
  return {
    name,
    ...(pagerduty_configs === undefined
      ? {}
      : { pagerdutyConfigs: pagerduty_configs.map(pagerdutyOf) }),
    ...(webhook_configs === undefined ? {} : { webhookConfigs: webhook_configs.map(webhookOf) }),
  };
}

function routeOf({ matchers, routes, ...rest }: Route): Fields {
  return {
    ...camel(rest),
    ...(matchers === undefined ? {} : { matchers: matchers.map(matcherOf) }),
    ...(routes === undefined ? {} : { routes: routes.map(routeOf) }),
  };
}

function matcherOf(text: string): Fields {
  const [, name, matchType, value] = /^(\w+)(=~|!~|!=|=)"(.*)"$/.exec(text) ?? [];
  if (name === undefined) throw new Error(`no matcher that is known here: ${text}`);
  return { name, matchType, value };
}

/** The key's file becomes a Secret, which the chart names. */
function pagerdutyOf({
  routing_key_file: _file,
  details,
  links,
  client_url,
  ...rest
}: Fields): Fields {
  return {
    ...camel(rest),
    // Of two words that are one name only here.
    clientURL: client_url,
    details: Object.entries(details as Readonly<Record<string, string>>).map(([key, value]) => ({
      key,
      value,
    })),
    // The operator calls a link's text `alt`.
    pagerDutyLinkConfigs: (links as readonly { href: string; text: string }[]).map(
      ({ href, text }) => ({ href, alt: text }),
    ),
  };
}

function webhookOf({ url_file: _file, ...rest }: Fields): Fields {
  return camel(rest);
}

function camel(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}
