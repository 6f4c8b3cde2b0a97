// What Prometheus, Alertmanager and Grafana are told. The traps that made such charts page nobody have a test each.

import assert from "node:assert/strict";
import { parse } from "yaml";
import type { Any, Chart, Manifest, Manifests } from "./helm.ts";
import { ciValues, REDIS, renderCi, type Promised } from "./promise.ts";

export const MONITORED = {
  serviceMonitor: { enabled: true },
  prometheusRule: { enabled: true },
  alertmanagerConfig: { enabled: true },
};

const OPERATOR_KINDS = ["ServiceMonitor", "PodMonitor", "PrometheusRule", "AlertmanagerConfig"];

const KEEP_ENDPOINT = { action: "labeldrop", regex: "endpoint" };
const DROP_CREATED = { action: "drop", sourceLabels: ["__name__"], regex: ".+_created" };

async function monitoring(chart: Chart, values: object): Promise<Manifests> {
  return chart.render({ monitoring: values });
}

/** A Service, or a pod template, has all the labels that are asked for. */
function isSelected(labels: Any, wanted: Any): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

function rulesOf(manifest: Manifest): Any[] {
  return manifest.spec.groups.flatMap(({ rules }: Any) => rules);
}

function alertOf(manifests: Manifests, name: string): Any {
  return rulesOf(manifests.get("PrometheusRule")).find(({ alert }) => alert === name);
}

export const MONITORING: readonly Promised[] = [
  {
    name: "nothing of the operator's is rendered unless it is asked for, and then whatever the cluster can",
    async check(chart) {
      const plain = await chart.render();
      for (const kind of [...OPERATOR_KINDS, "GrafanaDashboard", "TestRun"])
        assert.equal(plain.find(kind), undefined, kind);
      // Helm without a cluster knows none of the operator's kinds, as Argo CD does not.
      const all = await monitoring(chart, MONITORED);
      for (const kind of ["ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"]) all.get(kind);
    },
  },
  {
    name: "a ServiceMonitor finds one Service, and that one's pods once",
    async check(chart) {
      for (const values of [{}, REDIS]) {
        const manifests = await chart.render({ ...values, monitoring: MONITORED });
        const { spec } = manifests.get("ServiceMonitor", "switchgear");
        const services = manifests.all.filter(
          ({ kind, metadata }) =>
            kind === "Service" && isSelected(metadata.labels, spec.selector.matchLabels),
        );
        assert.deepEqual(
          services.map(({ metadata }) => metadata.name),
          ["switchgear"],
        );
        const [endpoint, ...others] = spec.endpoints;
        assert.deepEqual(others, []);
        const ports = services[0]?.spec.ports.map(({ name }: Any) => name);
        assert.ok(ports.includes(endpoint.port));
        assert.equal(endpoint.port, "admin");
        assert.equal(endpoint.path, "/metrics");
        assert.equal(endpoint.interval, "15s");
        assert.deepEqual(spec.selector.matchLabels, {
          "app.kubernetes.io/name": "switchgear",
          "app.kubernetes.io/instance": "switchgear",
          "app.kubernetes.io/component": "gateway",
        });
      }
    },
  },
  {
    name: "a PodMonitor finds the pods, and not beside a ServiceMonitor",
    async check(chart) {
      const manifests = await monitoring(chart, { podMonitor: { enabled: true } });
      const { spec } = manifests.get("PodMonitor", "switchgear");
      const { labels } = manifests.workload.spec.template.metadata;
      assert.ok(isSelected(labels, spec.selector.matchLabels));
      assert.equal(Object.keys(spec.selector.matchLabels).length, 3);
      const [endpoint] = spec.podMetricsEndpoints;
      assert.ok(manifests.container.ports.some(({ name }: Any) => name === endpoint.port));
      assert.equal(endpoint.port, "admin");
      assert.equal(endpoint.path, "/metrics");
      assert.equal(endpoint.interval, "15s");
      const both = await chart.refuse({
        monitoring: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } },
      });
      assert.match(both, /monitoring\.podMonitor\.enabled: .*scraped twice/);
    },
  },
  {
    name: "trap: our label endpoint survives the scrape, and what the values add comes after",
    async check(chart) {
      const own = { action: "replace", targetLabel: "a", replacement: "b" };
      const more = { relabelings: [own], metricRelabelings: [own] };
      const manifests = await monitoring(chart, {
        serviceMonitor: { enabled: true, ...more },
        hyperBun: { enabled: true, ...more },
      });
      const pods = await monitoring(chart, { podMonitor: { enabled: true, ...more } });
      const endpoints = [
        manifests.get("ServiceMonitor").spec.endpoints[0],
        manifests.get("PodMonitor", "hyper-bun").spec.podMetricsEndpoints[0],
        pods.get("PodMonitor").spec.podMetricsEndpoints[0],
      ];
      for (const { relabelings, metricRelabelings, honorLabels } of endpoints) {
        assert.deepEqual(relabelings.slice(0, 2), [KEEP_ENDPOINT, own]);
        assert.deepEqual(metricRelabelings, [DROP_CREATED, own]);
        // It would let what is scraped say which namespace it is of.
        assert.equal(honorLabels, undefined);
      }
    },
  },
  {
    name: "trap: job is what the rules go by, whatever the release is called",
    async check(chart) {
      const values = {
        monitoring: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } },
      };
      for (const [name, job] of [
        ["", "switchgear"],
        ["gateway", "gateway"],
      ] as const) {
        const manifests = await chart.render(
          { ...values, nameOverride: name, fullnameOverride: "other" },
          { release: "some-release" },
        );
        const { spec } = manifests.get("ServiceMonitor");
        assert.equal(spec.jobLabel, "app.kubernetes.io/name");
        const service = manifests.get("Service", "other");
        assert.equal(service.metadata.labels?.[spec.jobLabel], job);
        const { expr } = alertOf(manifests, "SwitchgearInstanceDown");
        assert.equal(expr, `up{job="${job}"} == 0`);
      }
      const pods = await monitoring(chart, { podMonitor: { enabled: true } });
      assert.equal(pods.get("PodMonitor").apiVersion, "monitoring.coreos.com/v1");
      assert.equal(pods.get("PodMonitor").spec.jobLabel, "app.kubernetes.io/name");
    },
  },
  {
    name: "trap: what your Prometheus selects by is on monitors and rules",
    async check(chart) {
      const labels = { release: "kube-prometheus-stack" };
      const manifests = await monitoring(chart, {
        labels,
        ...MONITORED,
        hyperBun: { enabled: true },
        alertmanagerConfig: { enabled: true, labels: { own: "1" } },
        prometheusRule: { enabled: true, labels: { prometheus: "k8s" }, annotations: { a: "b" } },
      });
      for (const kind of OPERATOR_KINDS)
        assert.equal(manifests.get(kind).metadata.labels?.["release"], labels.release, kind);
      assert.equal(manifests.get("AlertmanagerConfig").metadata.labels?.["own"], "1");
      assert.equal(manifests.get("PrometheusRule").metadata.labels?.["prometheus"], "k8s");
      assert.deepEqual(manifests.get("PrometheusRule").metadata.annotations, { a: "b" });
      // Pods and Services stay out of it: selectors of monitors would not mind, others' would.
      assert.equal(manifests.get("Service", "switchgear").metadata.labels?.["release"], undefined);
    },
  },
  {
    name: "trap: alerts keep the namespace that an AlertmanagerConfig is matched by",
    async check(chart) {
      const manifests = await chart.render({ monitoring: MONITORED }, { namespace: "betting" });
      const rules = rulesOf(manifests.get("PrometheusRule"));
      for (const rule of rules) {
        if (rule.alert === undefined) continue;
        for (const [, labels = ""] of rule.expr.matchAll(/\bby \(([^)]*)\)/g))
          assert.match(labels, /namespace|rule_group|integration/, rule.alert);
        if (/vector\(1\)|rule_group|integration/.test(rule.expr))
          assert.equal(rule.labels.namespace, "betting", rule.alert);
        else assert.equal(rule.labels.namespace, undefined, rule.alert);
      }
      assert.match(
        alertOf(manifests, "SwitchgearMetricsAbsent").expr,
        /label_replace\(absent_over_time\(.*"namespace", "betting"/,
      );
      const { metadata } = manifests.get("AlertmanagerConfig");
      assert.equal(metadata.namespace, "betting");
    },
  },
  {
    name: "trap: an incident is one bookmaker's, as alertmanager.yml groups",
    async check(chart) {
      const { spec } = (await monitoring(chart, MONITORED)).get("AlertmanagerConfig", "switchgear");
      for (const label of ["alertname", "namespace", "bookmaker"])
        assert.ok(spec.route.groupBy.includes(label), label);
      const pages = spec.route.routes.find(({ receiver }: Any) => receiver === "pagerduty");
      assert.deepEqual(pages.matchers, [{ name: "severity", matchType: "=", value: "critical" }]);
      assert.equal(pages.continue, undefined);
    },
  },
  {
    name: "trap: a scrape has bounds that an alert knows",
    async check(chart) {
      const specOf = async (values: object): Promise<Any> =>
        (await monitoring(chart, { ...MONITORED, values })).get("ServiceMonitor").spec;
      const spec = await specOf({});
      assert.equal(spec.sampleLimit, 5000);
      assert.equal(spec.labelValueLengthLimit, 256);
      assert.equal((await specOf({ scrape: { sampleLimit: 9000 } })).sampleLimit, 9000);
      assert.equal((await specOf({ scrape: { sampleLimit: 0 } })).sampleLimit, undefined);
      assert.equal((await specOf({ scrape: { interval: "30s" } })).endpoints[0].interval, "30s");
      const raised = await monitoring(chart, {
        ...MONITORED,
        values: { scrape: { sampleLimit: 9000 } },
      });
      assert.match(alertOf(raised, "SwitchgearScrapeNearLimit").expr, /0\.8 \* 9000$/);
      const pods = await monitoring(chart, {
        podMonitor: { enabled: true },
        hyperBun: { enabled: true },
      });
      for (const name of ["switchgear", "hyper-bun"]) {
        const { sampleLimit, labelValueLengthLimit } = pods.get("PodMonitor", name).spec;
        assert.deepEqual([sampleLimit, labelValueLengthLimit], [5000, 256], name);
      }
    },
  },
  {
    name: "the neighbour's own series are scraped where it is asked for, and the rules go by them, too",
    async check(chart) {
      const manifests = await monitoring(chart, {
        hyperBun: { enabled: true, namespace: "bets", labels: { l: "1" }, annotations: { a: "1" } },
        prometheusRule: { enabled: true },
      });
      const monitor = manifests.get("PodMonitor", "switchgear-hyper-bun");
      assert.deepEqual(monitor.spec.namespaceSelector, { matchNames: ["bets"] });
      assert.deepEqual(monitor.spec.selector, {
        matchLabels: { "app.kubernetes.io/name": "hyper-bun" },
      });
      const [endpoint] = monitor.spec.podMetricsEndpoints;
      assert.equal(endpoint.port, "http");
      assert.equal(endpoint.path, "/api/metrics");
      assert.equal(endpoint.interval, "15s");
      assert.deepEqual(endpoint.relabelings.at(-1), {
        action: "replace",
        targetLabel: "job",
        replacement: "hyper-bun",
      });
      assert.equal(monitor.metadata.labels?.["l"], "1");
      assert.equal(monitor.metadata.annotations?.["a"], "1");
      assert.match(
        alertOf(manifests, "SwitchgearInstanceDown").expr,
        /^up\{job=~"switchgear\|hyper-bun"\} == 0$/,
      );
      const here = await monitoring(chart, { hyperBun: { enabled: true } });
      assert.deepEqual(here.get("PodMonitor", "hyper-bun").spec.namespaceSelector.matchNames, [
        "switchgear",
      ]);
    },
  },
  {
    name: "scrape annotations are on the pods where they are asked for",
    async check(chart) {
      const annotationsOf = async (values: object): Promise<Any> =>
        (await monitoring(chart, values)).workload.spec.template.metadata.annotations;
      const { "checksum/config": _sum, ...annotations } = await annotationsOf({
        annotations: { enabled: true },
      });
      assert.deepEqual(annotations, {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9464",
        "prometheus.io/path": "/metrics",
      });
      assert.deepEqual(Object.keys(await annotationsOf({})), ["checksum/config"]);
    },
  },
  {
    name: "alerts can be left out, changed and labelled one by one",
    async check(chart) {
      const manifests = await monitoring(chart, {
        prometheusRule: { enabled: true },
        alertLabels: { team: "odds", severity: "none" },
        alerts: {
          CircuitBreakerTripped: {
            for: "10s",
            keepFiringFor: "0s",
            severity: "warning",
            labels: { tier: "1" },
            annotations: { runbook_url: "https://mine.example" },
          },
          CircuitBreakerFlapping: { enabled: false },
          SwitchgearErrorBudgetBurn: { labels: { tier: "2" } },
        },
      });
      const rule = alertOf(manifests, "CircuitBreakerTripped");
      assert.equal(rule.for, "10s");
      assert.equal(rule.keep_firing_for, "0s");
      assert.deepEqual(rule.labels, { severity: "warning", team: "odds", tier: "1" });
      assert.equal(rule.annotations.runbook_url, "https://mine.example");
      assert.match(rule.annotations.summary, /^Circuit breaker tripped for \{\{ \$labels/);
      assert.equal(alertOf(manifests, "CircuitBreakerFlapping"), undefined);
      assert.deepEqual(alertOf(manifests, "CircuitBreakerStuckOpen").labels, {
        severity: "warning",
        team: "odds",
      });
      for (const one of rulesOf(manifests.get("PrometheusRule"))) {
        if (one.alert === undefined) assert.equal(one.labels?.team, undefined);
        if (one.alert === "SwitchgearErrorBudgetBurn") assert.equal(one.labels.tier, "2");
      }
      const none = await monitoring(chart, {
        prometheusRule: { enabled: true },
        alerts: Object.fromEntries(
          rulesOf(manifests.get("PrometheusRule")).flatMap(({ alert }) =>
            alert === undefined ? [] : [[alert, { enabled: false }]],
          ),
        ),
      });
      for (const { rules } of none.get("PrometheusRule").spec.groups) assert.ok(rules.length > 0);
    },
  },
  {
    name: "secrets of receivers are named and not held, and a receiver without one tells nobody",
    async check(chart) {
      const receiversOf = async (alertmanagerConfig: object): Promise<Any> => {
        const manifests = await monitoring(chart, {
          alertmanagerConfig: { enabled: true, ...alertmanagerConfig },
        });
        const { receivers } = manifests.get("AlertmanagerConfig").spec;
        return Object.fromEntries(receivers.map(({ name, ...rest }: Any) => [name, rest]));
      };
      const bare = await receiversOf({});
      const [pagerduty] = bare.pagerduty.pagerdutyConfigs;
      assert.deepEqual(pagerduty.routingKey, {
        name: "switchgear-pagerduty",
        key: "routing-key",
      });
      assert.equal(pagerduty.url, undefined);
      assert.equal(pagerduty.sendResolved, true);
      assert.deepEqual(
        pagerduty.pagerDutyLinkConfigs.map(({ alt }: Any) => alt),
        ["Runbook", "Dashboard"],
      );
      assert.match(pagerduty.source, /"switchgear"/);
      for (const name of ["tickets", "second-channel", "dead-mans-switch", "nobody"])
        assert.deepEqual(bare[name], {}, name);
      const all = await receiversOf({
        pagerduty: { existingSecret: "pd", key: "k", url: "https://eu.example" },
        tickets: { existingSecret: "t", key: "tk" },
        secondChannel: { existingSecret: "s" },
        deadMansSwitch: { existingSecret: "d" },
      });
      const [own] = all.pagerduty.pagerdutyConfigs;
      assert.deepEqual(own.routingKey, { name: "pd", key: "k" });
      assert.equal(own.url, "https://eu.example");
      const urls = ["tickets", "second-channel", "dead-mans-switch"].map(
        (name) => all[name].webhookConfigs[0].urlSecret,
      );
      assert.deepEqual(urls, [
        { name: "t", key: "tk" },
        { name: "s", key: "url" },
        { name: "d", key: "url" },
      ]);
      assert.match(
        await chart.refuse({
          monitoring: {
            alertmanagerConfig: { enabled: true, pagerduty: { existingSecret: "" } },
          },
        }),
        /pagerduty\.existingSecret: name the Secret/,
      );
    },
  },
  {
    name: "a Prometheus without the operator gets the same rules, and a scrape that they find",
    async check(chart) {
      const manifests = await chart.render({
        nameOverride: "gateway",
        monitoring: {
          files: { enabled: true, labels: { l: "1" }, annotations: { a: "1" } },
          prometheusRule: { enabled: true },
        },
      });
      const map = manifests.get("ConfigMap", "-prometheus");
      assert.equal(map.metadata.labels?.["l"], "1");
      assert.deepEqual(map.metadata.annotations, { a: "1" });
      assert.deepEqual(
        parse(map.data["switchgear.rules.yml"] ?? ""),
        manifests.get("PrometheusRule").spec,
      );
      const { scrape_configs } = parse(map.data["switchgear.scrape.yml"] ?? "");
      assert.deepEqual(scrape_configs, [
        {
          job_name: "gateway",
          scrape_interval: "15s",
          sample_limit: 5000,
          label_value_length_limit: 256,
          kubernetes_sd_configs: [
            {
              role: "pod",
              namespaces: { names: ["switchgear"] },
              selectors: [
                {
                  role: "pod",
                  label:
                    "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=switchgear,app.kubernetes.io/name=gateway",
                },
              ],
            },
          ],
          relabel_configs: [
            {
              source_labels: ["__meta_kubernetes_pod_container_port_name"],
              regex: "admin",
              action: "keep",
            },
            { source_labels: ["__meta_kubernetes_namespace"], target_label: "namespace" },
            { source_labels: ["__meta_kubernetes_pod_name"], target_label: "pod" },
          ],
          metric_relabel_configs: [
            { source_labels: ["__name__"], regex: ".+_created", action: "drop" },
          ],
        },
      ]);
    },
  },
  {
    name: "dashboards come as they are, for the sidecar and for Grafana's operator, when there are any",
    async check(chart) {
      const board = '{"title":"{{ not for Helm }} $x","uid":"switchgear-overview"}';
      const with1 = chart.withFile("files/dashboards/overview.json", board);
      try {
        const none = await with1.render();
        assert.equal(none.find("ConfigMap", "-dashboard-overview"), undefined);
        const manifests = await with1.render({
          monitoring: {
            dashboards: { enabled: true, annotations: { grafana_folder: "Switchgear" } },
          },
        });
        const map = manifests.get("ConfigMap", "switchgear-dashboard-overview");
        assert.deepEqual(map.data, { "overview.json": board });
        assert.equal(map.metadata.labels?.["grafana_dashboard"], "1");
        assert.equal(map.metadata.labels?.["app.kubernetes.io/name"], "switchgear");
        assert.equal(map.metadata.namespace, "switchgear");
        assert.equal(map.apiVersion, "v1");
        assert.deepEqual(map.metadata.annotations, { grafana_folder: "Switchgear" });
        assert.equal(manifests.find("GrafanaDashboard"), undefined);
        const operated = await with1.render({
          monitoring: { grafanaDashboards: { enabled: true, folder: "Switchgear" } },
        });
        const own = operated.get("GrafanaDashboard", "switchgear-dashboard-overview");
        assert.equal(own.apiVersion, "grafana.integreatly.org/v1beta1");
        assert.equal(own.metadata.namespace, "switchgear");
        assert.equal(own.metadata.labels?.["app.kubernetes.io/name"], "switchgear");
        assert.deepEqual(own.spec, {
          instanceSelector: { matchLabels: { dashboards: "grafana" } },
          allowCrossNamespaceImport: true,
          folder: "Switchgear",
          configMapRef: { name: "switchgear-dashboard-overview", key: "overview.json" },
        });
        // Without the sidecar's label, or it would show it a second time.
        const source = operated.get("ConfigMap", "switchgear-dashboard-overview");
        assert.equal(source.metadata.labels?.["grafana_dashboard"], undefined);
      } finally {
        with1.close();
      }
    },
  },
  {
    name: "the load test asks this gateway, and keeps what makes its verdict",
    async check(chart) {
      const manifests = await chart.render({
        service: { port: 80 },
        testRun: {
          enabled: true,
          image: "mirror.example/k6:2",
          env: { SCENARIO: "hang", MORE: "1" },
          resources: { limits: { memory: "1Gi" } },
        },
      });
      const { spec, metadata } = manifests.get("TestRun");
      assert.equal(metadata.name, "switchgear-load-test");
      assert.equal(metadata.labels?.["app.kubernetes.io/name"], "switchgear-load-test");
      assert.equal(metadata.labels?.["app.kubernetes.io/component"], "load-test");
      assert.deepEqual(spec.script.configMap, {
        name: "switchgear-load-test",
        file: "super-bowl.ts",
      });
      const scripts = manifests.get("ConfigMap", "switchgear-load-test").data;
      assert.ok("super-bowl.ts" in scripts);
      const env = Object.fromEntries(spec.runner.env.map(({ name, value }: Any) => [name, value]));
      assert.equal(env.GATEWAY, "http://switchgear.switchgear:80");
      assert.equal(env.SCENARIO, "hang");
      assert.equal(env.MORE, "1");
      assert.equal(env.TARGET, "draftkings");
      assert.equal(spec.runner.env.length, new Set(Object.keys(env)).size);
      assert.equal(spec.runner.image, "mirror.example/k6:2");
      assert.deepEqual(spec.runner.resources, { limits: { memory: "1Gi" } });
      const plain = (await chart.render({ testRun: { enabled: true } })).get("TestRun");
      assert.match(plain.spec.runner.image, /^grafana\/k6:\d/);
      assert.equal(plain.spec.runner.resources.limits.memory, "2Gi");
      const other = await chart.render({
        testRun: { enabled: true, env: { GATEWAY: "http://other:1" } },
      });
      const { env: all } = other.get("TestRun").spec.runner;
      const given = all.find(({ name }: Any) => name === "GATEWAY");
      assert.equal(given.value, "http://other:1");
    },
  },
  {
    name: "no objects are named the same, whatever is enabled",
    async check(chart) {
      assert.ok(ciValues().size >= 6);
      for (const [name, { all }] of await renderCi(chart)) {
        const names = all.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
        assert.equal(new Set(names).size, names.length, name);
      }
    },
  },
];
