// How many commands each section of each page has, and how many lines each block of them shows. Whoever
// takes a command off a page says so here, too.

/** By page and section, block by block: `2>3` is two lines of commands that show three. */
export const OUTLINES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  CircuitBreakerCriticalRefused: {
    Diagnosis: "6>3>hung 2, 5>3",
    Mitigation: "3>1, kubectl 3",
    Verify: "3>1",
  },
  CircuitBreakerEndpointCoolingDown: {
    Diagnosis: "6>3, 4>2",
    Mitigation: "5>1",
    Verify: "3>1",
  },
  CircuitBreakerFlapping: {
    Diagnosis: "6>2, 3>1",
    Mitigation: "5>1",
    Verify: "5>1",
  },
  CircuitBreakerFleetSplit: {
    Diagnosis: "4>4, 7>7, kubectl 4",
    Mitigation: "5>2, kubectl 4",
    Verify: "4>2",
  },
  CircuitBreakerLimitAtFloor: {
    Diagnosis: "6>3>hung 2, 5>3",
    Mitigation: "3>1, kubectl 3",
    Verify: "4>2",
  },
  CircuitBreakerLoadShedding: {
    Diagnosis: "5>4",
    Mitigation: "3>2, stop 5>1, kubectl 3",
    Verify: "3>1",
  },
  CircuitBreakerManyTripped: {
    Diagnosis: "6>3, 3>1, 4>2, 3>1, kubectl 4",
    Mitigation: "6>2, batch 5>2",
    Verify: "3>1",
  },
  CircuitBreakerMostlyOpen: {
    Diagnosis: "9>3, 3>1",
    Mitigation: "5>1",
    Verify: "5>1",
  },
  CircuitBreakerNoEndpoint: {
    Diagnosis: "6>4, 4>2",
    Mitigation: "5>1",
    Verify: "6>4",
  },
  CircuitBreakerReplicaDisagreement: {
    Diagnosis: "4>3, 7>3, kubectl 3",
    Mitigation: "5>2",
    Verify: "3>1",
  },
  CircuitBreakerStateLost: {
    Diagnosis: "4>2, 9>3",
    Mitigation: "5>1",
    Verify: "6>2",
  },
  CircuitBreakerStuckOpen: {
    Diagnosis: "7>3, 3>1",
    Mitigation: "7>2",
    Verify: "7>3",
  },
  CircuitBreakerSuccessRatioLow: {
    Diagnosis: "6>3, 3>1",
    Mitigation: "3>1, kubectl 3",
    Verify: "3>1",
  },
  CircuitBreakerTripped: {
    Diagnosis: "7>3, 5>1, 5>3",
    Mitigation: "5>1, 5>1",
    Verify: "6>2, rollback 5>1",
  },
  CircuitBreakerWindowOpen: {
    Diagnosis: "5>2, 8>2",
    Mitigation: "5>1",
    Verify: "6>2",
  },
  README: {
    "Ways in": "kubectl 10, kubectl 5, kubectl 4, 5>3",
    "Each replica": "kubectl 3",
    Commands: "5>2, 7>8, 5>6, refused 4>2, unauthorised 3>1, 6>2, 7>2",
    Maintenance: "hold 5>1, silence 5>2, silenced 3>1, over 3>1",
    "The database": "sqlite3 14>2",
  },
  SwitchgearConfigRejected: {
    Diagnosis: "4>2, kubectl 3",
    Mitigation: "3>1, kubectl 4",
    Verify: "3>1",
  },
  SwitchgearDown: {
    Diagnosis: "4>2, kubectl 5",
    Mitigation: "kubectl 5, kubectl 4, kubectl 4",
    Verify: "5>3",
  },
  SwitchgearErrorBudgetBurn: {
    Diagnosis: "6>2>latency 1, 5>3",
    Verify: "3>1",
  },
  SwitchgearInstanceDown: {
    Diagnosis: "4>2, kubectl 4",
    Mitigation: "kubectl 4",
    Verify: "3>1",
  },
  SwitchgearLogLost: {
    Diagnosis: "4>2, kubectl 5",
    Mitigation: "kubectl 4",
    Verify: "4>2",
  },
  SwitchgearMetricsAbsent: {
    Diagnosis: "6>4, kubectl 4",
    Mitigation: "1>1, kubectl 5, kubectl 4",
    Verify: "3>1",
  },
  SwitchgearModeForgotten: {
    Diagnosis: "7>3",
    Mitigation: "7>1",
    Verify: "3>1",
  },
  SwitchgearPagerDeliveryFailing: {
    Diagnosis: "4>2",
    Mitigation: "kubectl 3",
    Verify: "3>1",
  },
  SwitchgearRejectingWhileClosed: {
    Diagnosis: "6>5",
    Mitigation: "kubectl 4",
    Verify: "5>3",
  },
  SwitchgearRuleFailures: {
    Diagnosis: "4>3",
    Mitigation: "1>1",
    Verify: "4>2",
  },
  SwitchgearScrapeNearLimit: {
    Diagnosis: "5>3",
    Mitigation: "3>1",
    Verify: "3>1",
  },
  SwitchgearSeriesMissing: {
    Diagnosis: "5>3",
    Mitigation: "3>1, kubectl 5",
    Verify: "3>1",
  },
  SwitchgearStoreDown: {
    Diagnosis: "6>5, 4>2",
    Mitigation: "1>3",
    Verify: "5>3",
  },
  SwitchgearStoreError: {
    Diagnosis: "4>3",
    Mitigation: "3>1",
    Verify: "3>1",
  },
  SwitchgearStoreRecovered: {
    Diagnosis: "6>3, 3>1",
    Mitigation: "3>1",
    Verify: "3>2",
  },
  SwitchgearWatchdog: {
    Diagnosis: "7>prometheus 2>alertmanager 4>4",
    Mitigation: "1>1, kubectl 4",
    Verify: "4>2",
  },
};
