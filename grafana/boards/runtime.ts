// The processes themselves: what they use, what they wait for, and what they lost.

import { DEPLOYS, type Board } from "../lib/board.ts";
import { BAD, GOOD, TRYING, WARNING } from "../lib/colours.ts";
import type { Meaning } from "../lib/panel.ts";
import { CLUSTER, INSTANCE, INSTANCES, JOB, NAMESPACE } from "../lib/selectors.ts";

const each = "{{instance}}";
const rate = (series: string): string => `rate(${series}{${INSTANCE}}[$__rate_interval])`;
const worksOrNot = (bad: string): readonly Meaning[] => [
  { value: 1, text: "works", color: GOOD },
  { value: 0, text: bad, color: BAD },
];

export const runtime: Board = {
  page: "runtime",
  title: "Runtime",
  description: "The processes themselves: what they use, what they wait for, what they lost.",
  choices: [CLUSTER, NAMESPACE, JOB, INSTANCES],
  annotations: [DEPLOYS],
  rows: [
    {
      title: "Processes",
      panels: [
        {
          kind: "table",
          title: "Each process",
          description:
            "Version and runtime are labels of switchgear_build_info; the gateway alone tells when it began.",
          unit: "none",
          width: 24,
          height: 7,
          noData: "no process",
          by: ["namespace", "instance", "version", "runtime"],
          columns: [{ name: "Runs for", unit: "dtdurations" }, { name: "Replicas it knows" }],
          targets: [
            {
              expr: `switchgear_build_info{${INSTANCE}} * on (cluster, namespace, job, instance) group_left () (time() - process_start_time_seconds{${INSTANCE}})`,
              legend: "",
            },
            {
              expr: `switchgear_build_info{${INSTANCE}} * on (cluster, namespace, job, instance) group_left () switchgear_fleet_replicas{${INSTANCE}}`,
              legend: "",
            },
          ],
        },
        {
          kind: "curves",
          title: "CPU",
          description: "Cores that each process uses. One is all that JavaScript itself can use.",
          unit: "none",
          decimals: 2,
          min: 0,
          width: 8,
          noData: "not the gateway: it alone tells",
          targets: [{ expr: rate("process_cpu_seconds_total"), legend: each }],
        },
        {
          kind: "curves",
          title: "Memory",
          description: "Resident memory of each process. One that only grows for days is a leak.",
          unit: "bytes",
          min: 0,
          width: 8,
          noData: "not the gateway: it alone tells",
          targets: [{ expr: `process_resident_memory_bytes{${INSTANCE}}`, legend: each }],
        },
        {
          kind: "curves",
          title: "How late the event loop comes",
          description:
            "99th percentile and longest of the last one to two minutes. Above 40 ms all calls wait for something.",
          unit: "s",
          min: 0,
          width: 8,
          noData: "not the gateway: it alone tells",
          steps: [{ color: GOOD }, { from: 0.04, color: WARNING }],
          targets: [
            {
              expr: `max by (instance) (switchgear_event_loop_delay_seconds{${INSTANCE}, quantile="0.99"})`,
              legend: `p99 ${each}`,
            },
            {
              expr: `max by (instance) (switchgear_event_loop_delay_seconds{${INSTANCE}, quantile="1"})`,
              legend: `longest ${each}`,
            },
          ],
        },
      ],
    },
    {
      title: "Store",
      panels: [
        {
          kind: "timeline",
          title: "Store",
          description:
            "While it fails, breakers go on from memory, and a restart would lose what is not written. It is SwitchgearStoreDown.",
          unit: "none",
          width: 12,
          height: 6,
          noData: "no process",
          meanings: worksOrNot("fails"),
          targets: [{ expr: `switchgear_store_up{${INSTANCE}}`, legend: each }],
        },
        {
          kind: "curves",
          title: "Changes that wait for the store",
          description: "Upstreams whose last change is in memory alone.",
          unit: "none",
          min: 0,
          width: 6,
          height: 6,
          noData: "no process",
          targets: [{ expr: `switchgear_store_pending{${INSTANCE}}`, legend: each }],
        },
        {
          kind: "curves",
          title: "Failed operations of the store",
          description: "In five minutes, by operation.",
          unit: "none",
          min: 0,
          width: 6,
          height: 6,
          noData: "no process",
          targets: [
            {
              expr: `sum by (op) (increase(switchgear_store_errors_total{${INSTANCE}}[5m]))`,
              legend: "{{op}}",
            },
          ],
        },
      ],
    },
    {
      title: "What was lost",
      panels: [
        {
          kind: "timeline",
          title: "Configuration",
          description:
            "While a new one is refused, the one before goes on. It is SwitchgearConfigRejected.",
          unit: "none",
          width: 12,
          height: 6,
          noData: "not the gateway: it alone tells",
          meanings: worksOrNot("refused"),
          targets: [
            { expr: `switchgear_config_last_reload_successful{${INSTANCE}}`, legend: each },
          ],
        },
        {
          kind: "curves",
          title: "Log lines that were not written",
          description:
            "In five minutes. Whoever reads them is too slow or gone, or the disk is full; calls do not wait for it.",
          unit: "none",
          min: 0,
          width: 6,
          height: 6,
          noData: "not the gateway: it alone tells",
          targets: [
            {
              expr: `sum by (instance) (increase(switchgear_log_lines_dropped_total{${INSTANCE}}[5m]))`,
              legend: each,
            },
          ],
        },
        {
          kind: "curves",
          title: "Audit entries that were lost",
          description:
            "In five minutes: the store failed for so long that the queue was full, or refused them.",
          unit: "none",
          min: 0,
          width: 6,
          height: 6,
          noData: "no process",
          colours: [[".*", BAD]],
          targets: [
            {
              expr: `sum by (instance) (increase(switchgear_audits_dropped_total{${INSTANCE}}[5m]))`,
              legend: each,
            },
          ],
        },
      ],
    },
    {
      title: "Gateway",
      panels: [
        {
          kind: "curves",
          title: "Answers that the gateway gave itself",
          description:
            "A second, by the reason sent with them. What bookmakers answered is not among them.",
          unit: "reqps",
          width: 12,
          noData: "not the gateway: it alone tells",
          stacked: true,
          targets: [
            {
              expr: `sum by (reason) (rate(switchgear_gateway_answers_total{${INSTANCE}}[$__rate_interval])) > 0`,
              legend: "{{reason}}",
            },
          ],
        },
        {
          kind: "curves",
          title: "Samples of a scrape, and how long it takes",
          description:
            "Beyond the monitor's sample limit the whole scrape fails. It is SwitchgearScrapeNearLimit before that.",
          unit: "none",
          min: 0,
          width: 12,
          noData: "no process",
          colours: [["took .*", TRYING]],
          targets: [
            {
              expr: `scrape_samples_post_metric_relabeling{${INSTANCE}}`,
              legend: `samples ${each}`,
            },
            { expr: `1000 * scrape_duration_seconds{${INSTANCE}}`, legend: `took ms ${each}` },
          ],
        },
      ],
    },
  ],
};
