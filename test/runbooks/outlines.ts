// How many commands each section of each page has, and how many lines each block of them shows. Whoever
// takes a command off a page says so here, too.

/** By page and section, block by block: `2>3` is two lines of commands that show three. */
export const OUTLINES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  CircuitBreakerEndpointCoolingDown: {
    Diagnosis: "2>4, 2>1",
    Mitigation: "2>1",
    Verify: "1>1",
  },
  CircuitBreakerFlapping: {
    Diagnosis: "2>2, 2>2",
    Mitigation: "1>1",
    Verify: "1>1",
  },
  CircuitBreakerHalfOpenStuck: {
    Diagnosis: "2>3, 1>1",
    Mitigation: "2>1",
    Verify: "1>1",
  },
  CircuitBreakerHealthLow: {
    Diagnosis: "1>4, 2>2",
    Verify: "2>3",
  },
  CircuitBreakerLatencyHigh: {
    Diagnosis: "2>4, 2>2",
    Verify: "1>1",
  },
  CircuitBreakerLoadShedding: {
    Diagnosis: "3>4",
    Mitigation: "1>2, stop 1>1, kubectl 1",
    Verify: "1>1",
  },
  CircuitBreakerManyTripped: {
    Diagnosis: "2>3, 1>1, 1>1, kubectl 2",
    Mitigation: "2>2",
    Verify: "1>1",
  },
  CircuitBreakerNoEndpoint: {
    Diagnosis: "2>4, 1>1",
    Mitigation: "1>1",
    Verify: "2>4",
  },
  CircuitBreakerReplicaDisagreement: {
    Diagnosis: "1>2, 2>2, kubectl 1",
    Mitigation: "1>1",
    Verify: "1>1",
  },
  CircuitBreakerStuckOpen: {
    Diagnosis: "3>3, 1>1",
    Mitigation: "4>2",
    Verify: "3>3",
  },
  CircuitBreakerSuccessRatioLow: {
    Diagnosis: "2>4, 1>1",
    Mitigation: "1>1, kubectl 2",
    Verify: "1>1",
  },
  CircuitBreakerTripped: {
    Diagnosis: "2>2, 3>1, 2>2",
    Mitigation: "1>1, 1>1",
    Verify: "2>2, rollback 1>1",
  },
  CircuitBreakerWindowOpen: {
    Diagnosis: "1>2, 4>2",
    Mitigation: "1>1",
    Verify: "2>2",
  },
  README: {
    Variables: "kubectl 1",
    Commands: "3>2, 3>4, refused 2>2, 4>2, 5>2",
    "The database": "sqlite3 12>2",
  },
  SwitchgearDown: {
    Diagnosis: "2>2, kubectl 3",
    Mitigation: "kubectl 3",
    Verify: "3>3",
  },
  SwitchgearErrorBudgetBurn: {
    Diagnosis: "3>3",
    Verify: "1>1",
  },
  SwitchgearInstanceDown: {
    Diagnosis: "2>2, kubectl 2",
    Mitigation: "kubectl 2",
    Verify: "1>1",
  },
  SwitchgearMetricsAbsent: {
    Diagnosis: "4>3, kubectl 2",
    Mitigation: "1>1, kubectl 2",
    Verify: "1>1",
  },
  SwitchgearPagerDeliveryFailing: {
    Diagnosis: "2>2",
    Mitigation: "kubectl 1",
    Verify: "1>1",
  },
  SwitchgearRejectingWhileClosed: {
    Diagnosis: "4>5",
    Mitigation: "kubectl 2",
    Verify: "3>3",
  },
  SwitchgearRuleFailures: {
    Diagnosis: "2>3",
    Mitigation: "1>1",
    Verify: "2>2",
  },
  SwitchgearScrapeNearLimit: {
    Diagnosis: "3>3",
    Mitigation: "1>1",
    Verify: "1>1",
  },
  SwitchgearSeriesMissing: {
    Diagnosis: "3>3",
    Mitigation: "1>1, kubectl 3",
    Verify: "1>1",
  },
  SwitchgearStoreDown: {
    Diagnosis: "4>5, 2>2",
    Mitigation: "1>3",
    Verify: "3>3",
  },
  SwitchgearStoreError: {
    Diagnosis: "2>3",
    Mitigation: "1>1",
    Verify: "1>1",
  },
  SwitchgearWatchdog: {
    Diagnosis: "5>prometheus 2>alertmanager 4>4",
    Mitigation: "1>1, kubectl 2",
    Verify: "2>2",
  },
};
