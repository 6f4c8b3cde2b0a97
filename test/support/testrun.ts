// deploy/k6/testrun.yaml, read strictly: what is in it, by the fields that the TestRun of k6-operator has. Its
// CRD is the operator's, and not here; of it this knows what the manifest uses.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { ROOT } from "./programs.ts";

export const TEST_RUN = join(ROOT, "deploy/k6/testrun.yaml");

const name = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const metadata = z.strictObject({ name, labels: z.record(z.string(), z.string()) });

/** Of Pod Security's level "restricted". */
const hardened = {
  automountServiceAccountToken: z.literal("false"),
  securityContext: z.strictObject({
    runAsNonRoot: z.literal(true),
    runAsUser: z.int().positive(),
    runAsGroup: z.int().positive(),
    seccompProfile: z.strictObject({ type: z.literal("RuntimeDefault") }),
  }),
  containerSecurityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  }),
};

const testRun = z.strictObject({
  apiVersion: z.literal("k6.io/v1alpha1"),
  kind: z.literal("TestRun"),
  metadata,
  // No `cleanup`, with which the result could not be read.
  spec: z.strictObject({
    parallelism: z.literal(1),
    script: z.strictObject({ configMap: z.strictObject({ name, file: z.string() }) }),
    arguments: z.string(),
    runner: z.strictObject({
      image: z.string().regex(/^grafana\/k6:\d+\.\d+\.\d+$/),
      env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
      resources: z.strictObject({
        requests: z.strictObject({ cpu: z.string(), memory: z.string() }),
        limits: z.strictObject({ memory: z.string() }),
      }),
      ...hardened,
      volumes: z.array(
        z.strictObject({ name, emptyDir: z.strictObject({ sizeLimit: z.string() }) }),
      ),
      volumeMounts: z.array(z.strictObject({ name, mountPath: z.string() })),
    }),
    starter: z.strictObject(hardened),
  }),
});

const configMap = z.strictObject({
  apiVersion: z.literal("v1"),
  kind: z.literal("ConfigMap"),
  metadata,
  // What a key may be: a file's name, and no folder.
  data: z.record(z.string().regex(/^[-._a-zA-Z0-9]{1,253}$/), z.string()),
});

export interface Manifest {
  readonly testRun: z.infer<typeof testRun>;
  readonly configMap: z.infer<typeof configMap>;
}

/** Throws what is wrong, with its place. */
export function readTestRun(text = readFileSync(TEST_RUN, "utf8")): Manifest {
  const documents = parseAllDocuments(text).map((document): unknown => {
    if (document.errors.length > 0) throw new Error(document.errors.join("\n"));
    return document.toJS();
  });
  const [first, second] = z.tuple([testRun, configMap]).parse(documents);
  return { testRun: first, configMap: second };
}
