// Which series a dashboard is of: what its variables choose. `cluster` is there where several clusters write into one
// Prometheus, `namespace` in one: "all" of them are series without it, too. "All" of the jobs are those that have
// Switchgear's series, since others have `up` as well. And a bookmaker has a name: rules of alerts/switchgear.yml keep
// some series under an earlier label, without it.

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
  all: ".*",
  title: "Cluster",
  query: "label_values(switchgear_build_info, cluster)",
} as const;

export const NAMESPACE = {
  label: "namespace",
  all: ".*",
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
  all: ".+",
  title: "Bookmaker",
  query: `label_values(circuit_breaker_tripped{${ALL}}, bookmaker)`,
} as const;

export const OPERATIONS = {
  label: "operation",
  all: ".+",
  title: "Operation",
  query: `label_values(switchgear_requests_total{${BOOKMAKER}}, operation)`,
} as const;

export const INSTANCES = {
  label: "instance",
  all: ".+",
  title: "Instance",
  query: `label_values(switchgear_build_info{${ALL}}, instance)`,
} as const;
