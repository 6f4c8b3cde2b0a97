// What kube-score finds and we leave as it is, with the reason. A test sees to it that each is still found.

export interface Exception {
  readonly check: string;
  /** `Kind/name`. */
  readonly objects: RegExp;
  /** Of one thing that a check finds, where it finds several. */
  readonly only?: RegExp;
  readonly reason: string;
}

export const EXCEPTIONS: readonly Exception[] = [
  {
    check: "container-resources",
    objects: /./,
    only: /^CPU limit is not set$/,
    reason: "a gateway that is throttled is late, and its breakers take that for their upstreams'",
  },
  {
    check: "container-image-pull-policy",
    objects: /./,
    reason: "a tag of ours is one image for ever, and a node that has it needs no registry",
  },
  {
    check: "pod-networkpolicy",
    objects: /./,
    reason: "off by default: only the user knows who calls and where bookmakers are",
  },
  {
    check: "deployment-has-host-podantiaffinity",
    objects: /^Deployment\//,
    reason: "topology spread constraints do it, and may be left unsatisfied on a single node",
  },
];
