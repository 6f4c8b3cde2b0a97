// THE list of metrics. Names, labels and help texts are written here once; the recorder fills them,
// exporters render them, rules and dashboards are held against them.
//
// No unit is declared anywhere: an exporter on the OTLP path would append it to the mandated names
// (`circuit_breaker_latency_ms_milliseconds`). The help text says the unit.

export type MetricType = "counter" | "gauge" | "histogram";

type Overflow = "sum" | "max" | "min";

export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  /** Exactly the labels that each sample carries, in this order. */
  readonly labels: readonly string[];
  /** Some of its samples carry these instead: one name, two kinds of things that have it. */
  readonly orLabels?: readonly string[];
  readonly help: string;
  /** How several are put together: upstreams beyond the bound as `__overflow__`, registries in one page. */
  readonly overflow: Overflow;
  /** Of a process that is Switchgear's alone: a host's own registry has its own of these names. */
  readonly isProcessWide?: true;
}

function counter(name: string, labels: readonly string[], help: string): Metric {
  return { name, type: "counter", labels, help, overflow: "sum" };
}

function gauge(name: string, labels: readonly string[], help: string, overflow: Overflow): Metric {
  return { name, type: "gauge", labels, help, overflow };
}

const UPSTREAM = ["bookmaker"] as const;
const OPERATION = ["bookmaker", "operation"] as const;
const ENDPOINT = ["endpoint"] as const;
/** Of an upstream's limiter, or of an endpoint's where it has several. */
const LIMIT = ["bookmaker"] as const;
const ENDPOINT_LIMIT = ["bookmaker", "endpoint"] as const;
const SINCE_START = "Counted since the process started.";

function limitGauge(
  name: string,
  help: string,
  overflow: Overflow,
  more: readonly string[] = [],
): Metric {
  const orLabels = [...ENDPOINT_LIMIT, ...more];
  return { ...gauge(name, [...LIMIT, ...more], help, overflow), orLabels };
}

function limitCounter(name: string, help: string, more: readonly string[] = []): Metric {
  const labels = ["criticality", ...more];
  return {
    ...counter(name, [...LIMIT, ...labels], `${help} ${SINCE_START}`),
    orLabels: [...ENDPOINT_LIMIT, ...labels],
  };
}

export const METRICS = {
  tripped: gauge(
    "circuit_breaker_tripped",
    UPSTREAM,
    "1 while the breaker refuses calls, which includes its half-open probes; 0 while it is closed, and in the modes shadow and forced-closed, where nothing is refused.",
    "max",
  ),
  failures: gauge(
    "circuit_breaker_failures_1m",
    UPSTREAM,
    "Weighted failures since the last success or reset, a timeout counting less than a failure. In spite of its name this is no window of one minute: nothing decays.",
    "max",
  ),
  tripCount: gauge(
    "circuit_breaker_trip_count",
    UPSTREAM,
    "Trips since the breaker was first stored; outlives restarts. A gauge: use circuit_breaker_trips_total for rates.",
    "sum",
  ),
  latency: {
    ...gauge(
      "circuit_breaker_latency_ms",
      UPSTREAM,
      "Average duration of calls in milliseconds: of an upstream's successful calls, exponentially weighted; of an endpoint's latest 50 calls. Absent before the first.",
      "max",
    ),
    orLabels: ENDPOINT,
  },
  rejected: counter(
    "circuit_breaker_rejected_total",
    ["bookmaker", "operation", "reason"],
    `Calls that were refused and never reached the upstream, by reason: tripped, half_open_limit, ramping, no_endpoint, limit, priority, no_time, load_shed, rate_limited or closing. ${SINCE_START}`,
  ),
  loadShed: counter(
    "load_shed_rejected_total",
    OPERATION,
    'Calls refused because this process is loaded. The same calls as circuit_breaker_rejected_total{reason="load_shed"}: never add the two.',
  ),
  trips: counter(
    "circuit_breaker_trips_total",
    UPSTREAM,
    `Transitions from closed to tripped, by failures or by hand. ${SINCE_START}`,
  ),
  resets: counter(
    "circuit_breaker_resets_total",
    UPSTREAM,
    `Resets by people that were accepted. ${SINCE_START}`,
  ),
  resetsDenied: counter(
    "circuit_breaker_reset_denied_total",
    UPSTREAM,
    `Resets by people that were denied, because the cooldown was running and force was not given. ${SINCE_START}`,
  ),
  late: counter(
    "circuit_breaker_late_results_total",
    ["bookmaker", "outcome"],
    `Results of calls that were admitted before a trip, reset or recovery and came back after it, so that they moved nothing; outcome is success or failure. ${SINCE_START}`,
  ),
  invalidSamples: counter(
    "circuit_breaker_invalid_samples_total",
    UPSTREAM,
    `Latencies that were no finite number of milliseconds from 0 on and were dropped; the outcomes counted all the same. ${SINCE_START}`,
  ),
  storeErrors: counter(
    "circuit_breaker_persistence_errors_total",
    ["op", "code"],
    `Failed operations of the store, by operation (load, commit, poll, history, close) and the store's own code; a change of which the store refuses a part counts once for each part. Breakers go on from memory. ${SINCE_START}`,
  ),
  storeFailures: counter(
    "switchgear_store_errors_total",
    ["op"],
    `Failed operations of the store, by operation: load, commit, poll, history or close. The sum of circuit_breaker_persistence_errors_total over its codes, and there from the start: never add the two. ${SINCE_START}`,
  ),
  storeRecovered: gauge(
    "circuit_breaker_store_recovered",
    [],
    "1 when the store's file was found broken at the start and put aside, so that earlier trips are lost to this process; 0 otherwise.",
    "max",
  ),
  windowState: gauge(
    "switchgear_window_state",
    UPSTREAM,
    "State of a sliding-window breaker: 0 closed, 1 open, 2 half-open, 3 ramping.",
    "max",
  ),
  windowCalls: counter(
    "switchgear_window_calls_total",
    ["bookmaker", "outcome"],
    `Calls of an upstream with a sliding-window breaker: success, failure or rejected. ${SINCE_START}`,
  ),
  windowFailureRate: gauge(
    "switchgear_window_failure_rate",
    UPSTREAM,
    "Share of the calls in the window that failed, 0 to 1; 0 when the window is empty.",
    "max",
  ),
  windowSlowRate: gauge(
    "switchgear_window_slow_rate",
    UPSTREAM,
    "Share of the calls in the window that were slow, 0 to 1; 0 when the window is empty or no call counts as slow.",
    "max",
  ),
  endpointState: gauge(
    "circuit_breaker_state",
    ENDPOINT,
    "State of an adaptive breaker: 0 healthy, 1 degraded, 2 cooling down, 3 half-open.",
    "max",
  ),
  endpointFailures: counter(
    "circuit_breaker_failures_total",
    ENDPOINT,
    `Failed calls of an endpoint. ${SINCE_START}`,
  ),
  endpointLastOpened: gauge(
    "circuit_breaker_last_opened",
    ENDPOINT,
    "When an endpoint last began to cool down, in seconds since 1970; 0 before.",
    "max",
  ),
  endpointSuccessRatio: gauge(
    "circuit_breaker_success_ratio",
    ENDPOINT,
    "Share of an endpoint's latest 100 calls that succeeded, 0 to 1. Absent before the first.",
    "max",
  ),
  endpointHealth: gauge(
    "circuit_breaker_health_score",
    ENDPOINT,
    "Health of an endpoint, 0 to 1: half of it the success ratio, three tenths the latency, two tenths its steadiness.",
    "max",
  ),
  registrationFailures: counter(
    "circuit_breaker_registration_failures_total",
    [],
    `Metric families that an application's own registry refused, because it has others of their names. ${SINCE_START}`,
  ),
  tasksStarted: gauge(
    "circuit_breaker_monitoring_task_count",
    [],
    "Monitoring tasks that ever started in this process; never falls. Absent before the first use of monitoring. A gauge by the source system's name for it.",
    "sum",
  ),
  tasksActive: gauge(
    "circuit_breaker_active_tasks",
    [],
    "Monitoring tasks that run now. Absent before the first use of monitoring.",
    "sum",
  ),
  tasksOrphaned: gauge(
    "circuit_breaker_orphaned_tasks",
    [],
    "Monitoring tasks that were let go because they heed neither token nor signal, and still run. Absent before the first use of monitoring.",
    "sum",
  ),
  requests: counter(
    "switchgear_requests_total",
    ["bookmaker", "operation", "outcome"],
    `Calls by outcome: ok, failed, timeout, ignored (says nothing about the upstream, such as an abort by the caller) or refused (never reached the upstream). ${SINCE_START}`,
  ),
  duration: {
    name: "switchgear_request_duration_seconds",
    type: "histogram",
    labels: ["bookmaker", "operation", "outcome"],
    help: "Durations of the calls that ended ok, failed or timeout, in seconds; refused and ignored calls are left out.",
    overflow: "sum",
  },
  breakerInfo: gauge(
    "switchgear_breaker_info",
    ["bookmaker", "kind"],
    "Always 1; the label tells the kind of the breaker: latching, sliding-window or adaptive.",
    "max",
  ),
  failureThreshold: gauge(
    "switchgear_breaker_failure_threshold",
    UPSTREAM,
    "Weighted failures at which the breaker trips; circuit_breaker_failures_1m counts up to it.",
    "min",
  ),
  byHand: gauge(
    "switchgear_breaker_tripped_by_hand",
    UPSTREAM,
    "1 while the breaker is tripped because a person tripped it, 0 otherwise.",
    "max",
  ),
  trippedSince: gauge(
    "switchgear_breaker_tripped_timestamp_seconds",
    UPSTREAM,
    "Since when the breaker is tripped, as Unix time in seconds. Absent while it is closed.",
    "min",
  ),
  endpointInfo: gauge(
    "switchgear_endpoint_info",
    ["bookmaker", "endpoint"],
    "Always 1; tells which upstream an endpoint belongs to.",
    "max",
  ),
  endpointCalls: counter(
    "switchgear_endpoint_calls_total",
    ["bookmaker", "endpoint", "outcome"],
    `Calls that went to an endpoint and said something about it, by outcome: ok or failed, timeouts among these. ${SINCE_START}`,
  ),
  inFlight: gauge(
    "switchgear_in_flight",
    UPSTREAM,
    "Calls whose callers wait, at this moment.",
    "sum",
  ),
  abandoned: gauge(
    "switchgear_abandoned_calls",
    UPSTREAM,
    "Calls that timed out or were aborted and still run, at this moment. One that only grows never heeds its signal.",
    "sum",
  ),
  shadowRefused: counter(
    "switchgear_shadow_refused_total",
    OPERATION,
    `Calls that breaker, rate or limiter would have refused and that an operator's mode admitted. ${SINCE_START}`,
  ),
  limit: limitGauge(
    "switchgear_limit_concurrency",
    "Calls that may be in flight to the upstream, as its limiter found it or as it was set; as of the last call, as all of the limiter's. Absent where nothing limits them.",
    "sum",
  ),
  limitAtFloor: limitGauge(
    "switchgear_limit_at_floor",
    "1 while switchgear_limit_concurrency is the least that it shrinks to, 0 otherwise. Absent where it is set and does not move.",
    "max",
  ),
  limitInFlight: limitGauge(
    "switchgear_limit_in_flight",
    "Calls in flight that count against the limit, by criticality: those, too, that nobody waits for any more, as long as they hold their upstream up.",
    "sum",
    ["criticality"],
  ),
  limitAbandoned: limitGauge(
    "switchgear_limit_abandoned",
    "Calls that count against the limit and that nobody waits for any more.",
    "sum",
  ),
  limitWaiting: limitGauge(
    "switchgear_limit_waiting",
    "Calls of critical_plus that wait for room, for a tenth of their deadline at most.",
    "sum",
  ),
  limitBaseLatency: limitGauge(
    "switchgear_limit_base_latency_seconds",
    "What the median call takes when nothing waits at the upstream, in seconds; an estimate. Absent before the first.",
    "max",
  ),
  limitLatency: limitGauge(
    "switchgear_limit_latency_seconds",
    "What the median call takes at present, in seconds. Absent before the first.",
    "max",
  ),
  limitHung: limitGauge(
    "switchgear_limit_hung",
    "1 while calls are out and none has come back for half a deadline or longer, where that is not usual; 0 otherwise.",
    "max",
  ),
  limitAdmitted: limitCounter(
    "switchgear_limit_admitted_total",
    "Calls that the limiter let in, by criticality; those among them that it would have refused, too.",
  ),
  limitRefused: limitCounter(
    "switchgear_limit_refused_total",
    "Calls that the limiter refused, by criticality and reason: limit (as many in flight as may be), priority (room kept for more critical calls) or no_time (no answer to be had within the deadline). The same calls as in circuit_breaker_rejected_total: never add the two.",
    ["reason"],
  ),
  limitWouldRefuse: limitCounter(
    "switchgear_limit_would_refuse_total",
    "Calls that the limiter would have refused and that an operator's mode admitted, by criticality.",
  ),
  mode: gauge(
    "switchgear_breaker_mode",
    ["bookmaker", "mode"],
    "1 for the mode that an operator set, 0 for the others: normal, shadow (reports and refuses nothing) and forced-closed (admits everything and learns nothing).",
    "max",
  ),
  storeUp: gauge(
    "switchgear_store_up",
    [],
    "1 while the store works; 0 while it fails or refuses the state of an upstream, so that memory holds what disk does not.",
    "min",
  ),
  storePending: gauge(
    "switchgear_store_pending",
    [],
    "Upstreams whose last change waits for a store that fails or refuses it, at this moment. A restart would lose it.",
    "sum",
  ),
  fleetReplicas: gauge(
    "switchgear_fleet_replicas",
    [],
    "Replicas that share the store and were heard of in the last 15 seconds, this one included. Only where the store is a fleet's.",
    "max",
  ),
  fleetSynced: gauge(
    "switchgear_fleet_synced",
    [],
    "1 once what other replicas ordered was read from the store, 0 from the start until then. Only where the store is a fleet's.",
    "min",
  ),
  fleetVersion: gauge(
    "switchgear_fleet_order_version",
    UPSTREAM,
    "Version of the newest trip, reset or mode of this upstream that this replica knows; replicas that agree show the same. Only where the store is a fleet's, and from the first order on.",
    "max",
  ),
  auditsDropped: counter(
    "switchgear_audits_dropped_total",
    [],
    `Audit entries lost because the store failed for so long that the queue was full. ${SINCE_START}`,
  ),
  auditsRefused: counter(
    "switchgear_store_refused_audits_total",
    ["action"],
    `Audit entries that the store refused for their content, by action: TRIP, TRIP_NOTED, RESET, RESET_DENIED, FORCE_CLOSED, SHADOW or NORMAL. Each is in the log in full, and nowhere else. ${SINCE_START}`,
  ),
  listenerErrors: counter(
    "switchgear_listener_errors_total",
    [],
    `Errors thrown by the host's own event listeners, loggers included; calls are not affected. ${SINCE_START}`,
  ),
  evicted: counter(
    "switchgear_upstreams_evicted_total",
    [],
    `Idle upstreams, created from traffic, that were forgotten to make room for others. ${SINCE_START}`,
  ),
  logUp: gauge(
    "switchgear_log_up",
    [],
    "1 while log lines can be written; 0 while writing fails, because the reader is gone or the disk is full. A reader that is only stuck shows in the lines dropped. Absent where the logger is not this package's own.",
    "min",
  ),
  logLinesDropped: counter(
    "switchgear_log_lines_dropped_total",
    [],
    `Log lines that were not written, because whoever reads them was too slow or writing failed; refusals that are left out by intent are not among them. ${SINCE_START}`,
  ),
  configIsGood: gauge(
    "switchgear_config_last_reload_successful",
    [],
    "1 while the configuration that was last read is in force, but for what waits for a restart; 0 while it is refused and the one before goes on. Only of the gateway.",
    "min",
  ),
  configTakenAt: gauge(
    "switchgear_config_last_reload_success_timestamp_seconds",
    [],
    "When a configuration was last taken, at the start or later, as Unix time in seconds. Only of the gateway.",
    "max",
  ),
  gatewayAnswers: counter(
    "switchgear_gateway_answers_total",
    ["reason"],
    `Answers that the gateway gave itself, by the x-switchgear-reason sent with them; what upstreams answered is not among them. Only of the gateway. ${SINCE_START}`,
  ),
  eventLoopDelay: gauge(
    "switchgear_event_loop_delay_seconds",
    ["quantile"],
    "How much later than due the event loop's turns came within the last one to two minutes, in seconds: median, 99th percentile and, as quantile 1, the longest. Only of the gateway.",
    "max",
  ),
  processCpu: {
    ...counter(
      "process_cpu_seconds_total",
      [],
      "CPU time of this process, user and system, in seconds. Only of the gateway.",
    ),
    isProcessWide: true,
  },
  processMemory: {
    ...gauge(
      "process_resident_memory_bytes",
      [],
      "Memory of this process that is in use, in bytes. Only of the gateway.",
      "sum",
    ),
    isProcessWide: true,
  },
  processStart: {
    ...gauge(
      "process_start_time_seconds",
      [],
      "When this process started, as Unix time in seconds. Only of the gateway.",
      "min",
    ),
    isProcessWide: true,
  },
  systemLoad: gauge(
    "switchgear_system_load",
    [],
    "How loaded this process is, as the load shedder sees it: a ratio from 0 (idle) to 1 (saturated).",
    "max",
  ),
  buildInfo: gauge(
    "switchgear_build_info",
    ["version", "runtime"],
    "Always 1; the labels tell the version of Switchgear and the runtime.",
    "max",
  ),
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricKey = keyof typeof METRICS;
