// What stands beside the gateway: two simulated bookmakers, and Hyper-Bun's stand-in, which calls them through it and
// has the drop-in.

import { words } from "../tools/cluster/build.ts";
import { IMAGES } from "./images.ts";
import { namespace, workload } from "./objects.ts";

export const TRADING = "trading";
export const HYPER_BUN = `${TRADING}/hyper-bun:3000`;
export const HYPER_BUN_TOKEN = "a-token-for-tests-only";

export function neighbours(): object[] {
  return [
    namespace(TRADING),
    ...bookmaker("draftkings", TRADING),
    ...bookmaker("fanduel", TRADING),
    ...workload({
      name: "hyper-bun",
      namespace: TRADING,
      image: IMAGES.neighbours,
      args: ["/app/test/fixtures/hyper-bun/src/index.ts"],
      env: {
        HYPER_BUN_ADMIN_TOKEN: HYPER_BUN_TOKEN,
        BOOKMAKER_DRAFTKINGS_URL: "http://switchgear:8080/draftkings",
        BOOKMAKER_FANDUEL_URL: "http://switchgear:8080/fanduel",
      },
      ports: { http: 3000 },
      ready: "/health",
    }),
  ];
}

export function bookmaker(name: string, namespace: string): object[] {
  return workload({
    name,
    namespace,
    image: IMAGES.neighbours,
    args: [
      "/app/loadtest/bookmaker/main.ts",
      ...words(`--host 0.0.0.0 --name ${name} --service-ms 2`),
    ],
    ports: { http: 9101 },
    ready: "/__stats",
  });
}
