// What `helm test` runs, in the gateway's own image: a call through the gateway, a scrape, and, where there is a
// Prometheus to ask, that it has both the series and the rules.

const { GATEWAY, ADMIN, UPSTREAM, CALL_PATH, PROMETHEUS, NAMESPACE, JOB, RULES } = process.env;
const WAIT_MS = Number(process.env.WAIT_MS ?? 60_000);
const LOOK_MS = 2_000;
const ANSWER_MS = 10_000;

const CHECKS = {
  async "the gateway answers"() {
    const answer = await ask(`${GATEWAY}/no-such-upstream/`);
    await answer.text();
    const reason = answer.headers.get("x-switchgear-reason");
    return reason === "unknown_upstream" ? "" : `status ${answer.status}, reason ${reason}`;
  },
  async "a call comes back from its upstream"() {
    if (!UPSTREAM) return "skipped: tests.call.upstream names none";
    const answer = await ask(`${GATEWAY}/${UPSTREAM}${CALL_PATH}`);
    await answer.text();
    const reason = answer.headers.get("x-switchgear-reason");
    return reason === null && answer.status < 500
      ? ""
      : `status ${answer.status}, reason ${reason}`;
  },
  async "orders need the token"() {
    const answer = await ask(`${ADMIN}/api/circuit-breakers/no-such-upstream/reset`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ reason: "helm test" }),
    });
    await answer.text();
    return answer.status === 401 || answer.status === 403 ? "" : `status ${answer.status}`;
  },
  async "the scrape holds the series"() {
    const answer = await ask(`${ADMIN}/metrics`);
    const text = await answer.text();
    if (answer.status !== 200) return `status ${answer.status}`;
    const type = answer.headers.get("content-type") ?? "";
    if (!type.startsWith("text/plain")) return `content-type ${type}, which Prometheus 3 refuses`;
    if (!/^switchgear_build_info\{/m.test(text)) return "no switchgear_build_info";
    if (UPSTREAM && !text.includes(`circuit_breaker_tripped{bookmaker="${UPSTREAM}"}`))
      return `no circuit_breaker_tripped of ${UPSTREAM}`;
    return "";
  },
  async "Prometheus scrapes it"() {
    if (!PROMETHEUS) return "skipped: tests.prometheusUrl names none";
    const query = `sum(up{job="${JOB}",namespace="${NAMESPACE}"})`;
    const { data } = await json(`${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(query)}`);
    const value = data?.result?.[0]?.value?.[1];
    return Number(value) >= 1 ? "" : `${query} is ${value ?? "nothing"}; see monitoring.labels`;
  },
  async "Prometheus has the rules"() {
    if (!PROMETHEUS) return "skipped: tests.prometheusUrl names none";
    if (RULES !== "yes") return "skipped: monitoring.prometheusRule is not enabled";
    const { data } = await json(`${PROMETHEUS}/api/v1/rules?type=alert`);
    const rules = (data?.groups ?? []).flatMap((group) => group.rules);
    const own = rules.find((rule) => rule.name === "CircuitBreakerTripped");
    if (own === undefined) return "CircuitBreakerTripped is not there; see monitoring.labels";
    return own.health === "err" ? `it cannot be evaluated: ${own.lastError}` : "";
  },
};

function ask(url, options = {}) {
  return fetch(url, { ...options, redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
}

async function json(url) {
  const answer = await ask(url);
  if (!answer.ok) throw new Error(`${url}: status ${answer.status}`);
  return answer.json();
}

/** A Service and a Prometheus take a while to know of a new pod. */
async function settled(check) {
  const endMs = Date.now() + WAIT_MS;
  for (;;) {
    let fault;
    try {
      fault = await check();
    } catch (error) {
      fault = `${error.message}${error.cause ? `: ${error.cause.message}` : ""}`;
    }
    if (fault === "" || fault.startsWith("skipped") || Date.now() > endMs) return fault;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const outcomes = await Promise.all(
  Object.entries(CHECKS).map(async ([name, check]) => [name, await settled(check)]),
);
for (const [name, fault] of outcomes) {
  const isSkipped = fault.startsWith("skipped");
  console.log(
    fault === ""
      ? `ok    ${name}`
      : isSkipped
        ? `      ${name}: ${fault}`
        : `FAULT ${name}: ${fault}`,
  );
  if (fault !== "" && !isSkipped) process.exitCode = 1;
}
