// Which series a dashboard is of: what its variables choose. `cluster` is there where several clusters write into one
// Prometheus; the values of "all" match series without it, too.

/** Series of a whole process. */
export const ALL = `cluster=~"$cluster", namespace=~"$namespace", job=~"$job"`;
/** Series of a bookmaker. */
export const BOOKMAKER = `${ALL}, bookmaker=~"$bookmaker"`;
/** Series of a bookmaker's operation. */
export const OPERATION = `${BOOKMAKER}, operation=~"$operation"`;
/** Series of one process. */
export const INSTANCE = `${ALL}, instance=~"$instance"`;

/** Several replicas say the same of a bookmaker: one curve, not one for each. */
export const BY = "cluster, namespace, bookmaker";

export const CLUSTER = {
  label: "cluster",
  title: "Cluster",
  query: "label_values(switchgear_build_info, cluster)",
} as const;

export const NAMESPACE = {
  label: "namespace",
  title: "Namespace",
  query: `label_values(switchgear_build_info{cluster=~"$cluster"}, namespace)`,
} as const;

export const JOB = {
  label: "job",
  title: "Job",
  query: `label_values(switchgear_build_info{cluster=~"$cluster", namespace=~"$namespace"}, job)`,
} as const;

export const BOOKMAKERS = {
  label: "bookmaker",
  title: "Bookmaker",
  query: `label_values(circuit_breaker_tripped{${ALL}}, bookmaker)`,
} as const;

export const OPERATIONS = {
  label: "operation",
  title: "Operation",
  query: `label_values(switchgear_requests_total{${BOOKMAKER}}, operation)`,
} as const;

export const INSTANCES = {
  label: "instance",
  title: "Instance",
  query: `label_values(switchgear_build_info{${ALL}}, instance)`,
} as const;
