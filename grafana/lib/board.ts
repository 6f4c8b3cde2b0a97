// A dashboard as its file writes it down, and the JSON that Grafana takes from a ConfigMap.

import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { BAD, NEUTRAL, SERVED } from "./colours.ts";
import { builderOf, DATASOURCE, type Panel } from "./panel.ts";
import { ALL, BOOKMAKER } from "./selectors.ts";

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** A label whose values can be chosen, and the series that has it. */
export interface Choice {
  readonly label: string;
  readonly title: string;
  /** Such as `label_values(up{…}, namespace)`. */
  readonly query: string;
  /** What "all" stands for. Default: every value that there is, by name. */
  readonly all?: string;
}

export interface Board {
  /** What follows `switchgear-` in its address; never changed, since alerts lead there. */
  readonly page: string;
  readonly title: string;
  readonly description: string;
  readonly choices: readonly Choice[];
  readonly rows: readonly Row[];
  /** What is drawn over all curves. */
  readonly annotations?: readonly Annotation[];
  /** How far it looks back, as `now-6h`. */
  readonly from?: string;
  readonly refresh?: string;
}

export interface Annotation {
  readonly name: string;
  readonly expr: string;
  readonly title: string;
  readonly color: string;
}

const TAG = "switchgear";

/** A version that was not there before; of two at once, during a rollout, the newer one. */
export const DEPLOYS: Annotation = {
  name: "Deploys",
  expr: `count by (version) (switchgear_build_info{${ALL}}) unless on (version) count by (version) (switchgear_build_info{${ALL}} offset 5m)`,
  title: "version {{version}} begins",
  color: NEUTRAL,
};

const grown = (counter: string): string =>
  `sum by (bookmaker) (increase(${counter}{${BOOKMAKER}}[$__rate_interval])) > 0`;

const EVENTS: readonly Annotation[] = [
  {
    name: "Trips",
    expr: grown("circuit_breaker_trips_total"),
    title: "{{bookmaker}} tripped",
    color: BAD,
  },
  {
    name: "Resets",
    expr: grown("circuit_breaker_resets_total"),
    title: "{{bookmaker}} reset by hand",
    color: SERVED,
  },
  DEPLOYS,
];

export function jsonOf(board: Board): string {
  const builder = new dashboard.DashboardBuilder(`Switchgear / ${board.title}`)
    .uid(`switchgear-${board.page}`)
    .description(board.description)
    .tags([TAG])
    .readonly()
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .timezone("browser")
    .refresh(board.refresh ?? "30s")
    .time({ from: board.from ?? "now-3h", to: "now" })
    .link(
      new dashboard.DashboardLinkBuilder("Switchgear")
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    )
    .withVariable(
      new dashboard.DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    );
  for (const choice of board.choices) builder.withVariable(variable(choice));
  for (const annotation of board.annotations ?? EVENTS) builder.annotation(note(annotation));
  for (const { title, panels } of board.rows) {
    builder.withRow(new dashboard.RowBuilder(title));
    for (const panel of panels) builder.withPanel(builderOf(panel));
  }
  return `${JSON.stringify(numbered(builder.build()), undefined, 2)}\n`;
}

function variable({ label, title, query, all }: Choice): dashboard.QueryVariableBuilder {
  const builder = new dashboard.QueryVariableBuilder(label)
    .label(title)
    .datasource(DATASOURCE)
    .query(query)
    .definition(query)
    // As the range of time changes: a bookmaker of last week is one of last week's dashboard.
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    // oxlint-disable-next-line unicorn/no-array-sort -- of no array
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .current({ selected: true, text: "All", value: "$__all" });
  return all === undefined ? builder : builder.allValue(all);
}

function note({ name, expr, title, color }: Annotation): dashboard.AnnotationQueryBuilder {
  return new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(color)
    .expr(expr)
    .titleFormat(title)
    .step("60s");
}

/** Grafana numbers the panels of a dashboard that has no numbers at each load, and links to a panel break. */
function numbered(built: dashboard.Dashboard): dashboard.Dashboard {
  built.panels?.forEach((panel, index) => (panel.id = index + 1));
  return built;
}
