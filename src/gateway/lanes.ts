// The base URLs that may be asked, each with what its requests and answers are made with, by upstream.
// They change as a whole when the configuration does; calls under way keep the lane they took.

import type { AnswerRewrite, RequestHeaderRules } from "./headers.ts";
import type { GatewayOptions, GatewayUpstream } from "./ports.ts";
import { RefusalAnswers } from "./problem.ts";
import { answerRewrite } from "./rewrite.ts";
import { toDestination, type Destination } from "./route.ts";
import { Vigil } from "./vigil.ts";

/** One base URL of an upstream. */
export interface Lane {
  readonly destination: Destination;
  readonly rules: RequestHeaderRules;
  readonly refusals: RefusalAnswers;
  readonly rewrite: AnswerRewrite | undefined;
}

/** An upstream's lane, and one for each endpoint where there are several. */
export interface Junction {
  readonly main: Lane;
  readonly byEndpoint: ReadonlyMap<string, Lane> | undefined;
  readonly vigil: Vigil;
}

export class Junctions {
  readonly #options: Pick<GatewayOptions, "version" | "holdsAdminToken">;
  #byName = new Map<string, Junction>();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.replace(options.upstreams);
  }

  get(upstream: string): Junction | undefined {
    return this.#byName.get(upstream);
  }

  /** Every base URL that may be asked. */
  *destinations(): Generator<Destination> {
    for (const { main, byEndpoint } of this.#byName.values()) {
      yield main.destination;
      for (const { destination } of byEndpoint?.values() ?? []) yield destination;
    }
  }

  /** Takes these in place of those before. */
  replace(upstreams: GatewayOptions["upstreams"]): void {
    this.#byName = new Map(
      [...upstreams].map(([name, upstream]) => [name, this.#junctionOf(upstream)]),
    );
  }

  #junctionOf(upstream: GatewayUpstream): Junction {
    const { endpoints } = upstream;
    const main = this.#laneOf(upstream, upstream.url);
    const vigil = new Vigil();
    if (endpoints === undefined) return { main, byEndpoint: undefined, vigil };
    const byEndpoint = new Map(
      [...endpoints].map(([endpoint, url]) => [endpoint, this.#laneOf(upstream, url)]),
    );
    return { main, byEndpoint, vigil };
  }

  #laneOf(upstream: GatewayUpstream, url: URL): Lane {
    const destination = toDestination(upstream, url);
    const rules = {
      host: destination.host,
      userAgent: `switchgear/${this.#options.version}`,
      holdsAdminToken: this.#options.holdsAdminToken,
    };
    const rewrite = answerRewrite(destination);
    return { destination, rules, refusals: new RefusalAnswers(destination), rewrite };
  }
}
