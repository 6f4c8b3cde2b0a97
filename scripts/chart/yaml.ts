// YAML as Helm reads it.

/** Of version 1.1, where `off` without quotes is false. */
export const HELM_YAML = { version: "1.1", lineWidth: 0 } as const;
