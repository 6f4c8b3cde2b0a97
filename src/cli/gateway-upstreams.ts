// From a configuration to the upstreams that the gateway leads to.

import { ConfigError, type ConfigFault } from "../config/fault.ts";
import type { SwitchgearConfig, UpstreamConfig } from "../config/schema.ts";
import { readCertificates } from "../config/tls.ts";
import type { GatewayConnection, GatewayUpstream } from "../gateway/ports.ts";
import type { Switchgear } from "../index.ts";

/**
 * How each upstream is connected to. Throws `ConfigError` when a certificate has gone since the
 * configuration was read.
 */
export function gatewayConnections({
  upstreams,
}: SwitchgearConfig): ReadonlyMap<string, GatewayConnection> {
  return new Map(
    Object.entries(upstreams).map(([name, upstream]) => [name, connectionOf(name, upstream)]),
  );
}

export function gatewayUpstreams(
  config: SwitchgearConfig,
  connections: ReadonlyMap<string, GatewayConnection>,
  gear: Switchgear,
): ReadonlyMap<string, GatewayUpstream> {
  return new Map(
    Object.entries(config.upstreams).map(([name, upstream]) => [
      name,
      {
        name,
        url: new URL(upstream.url),
        endpoints:
          upstream.endpoints === undefined
            ? undefined
            : new Map(upstream.endpoints.map((one) => [one.name, new URL(one.url)])),
        deadlineMs: upstream.deadlineMs,
        idleMs: upstream.idleMs,
        status429: upstream.status429,
        rewriteRedirects: upstream.rewriteRedirects,
        rewriteCookies: upstream.rewriteCookies,
        connection: connections.get(name),
        operations: Object.entries(upstream.operations).flatMap(([operation, settings]) =>
          settings.path === undefined
            ? []
            : [{ ...settings, name: operation, path: settings.path }],
        ),
        guard: gear.upstream(name),
      },
    ]),
  );
}

function connectionOf(
  name: string,
  { tls, http2, connectionAgeMsMax }: UpstreamConfig,
): GatewayConnection {
  const faults: ConfigFault[] = [];
  const { ca, cert, key } = readCertificates(tls, (path, message) =>
    faults.push({ path: ["upstreams", name, ...path].join("."), line: 0, column: 0, message }),
  );
  if (faults.length > 0) throw new ConfigError("certificates", faults);
  const { serverName } = tls;
  return { ca, cert, key: key?.reveal(), serverName, http2, ageMsMax: connectionAgeMsMax };
}
