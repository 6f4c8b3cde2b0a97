// A cluster to look around in: `node test/tools/cluster/main.ts up FOLDER [IMAGE.tar…]` starts one and stays until
// Ctrl-C; what it prints enters it from another terminal.

import { resolve } from "node:path";
import { Cluster } from "./cluster.ts";

const [verb, folder = "", ...images] = process.argv.slice(2);
if (verb !== "up" || folder === "") {
  console.error("usage: node test/tools/cluster/main.ts up FOLDER [IMAGE.tar…]");
  process.exit(2);
}
const cluster = new Cluster(resolve(folder));
const asked = new Promise<void>((done) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => done());
});
try {
  await cluster.start(images);
  console.log(`up; enter with: ${cluster.inside("kubectl", "get", "pods", "--all-namespaces")}`);
  await asked;
} finally {
  await cluster.stop();
}
