// What a person sees of the other replicas: who is there, and whether they see the same.

import { z } from "zod";
import type { AdminClient } from "./admin-client.ts";
import { printTable, say } from "./print.ts";

const fleetSchema = z.object({
  replica: z.string(),
  synced: z.boolean(),
  replicas: z.array(
    z.object({
      replica: z.string(),
      ageMs: z.number(),
      breakers: z.record(
        z.string(),
        z.object({ tripped: z.boolean(), mode: z.string(), version: z.number() }),
      ),
    }),
  ),
  disagreeing: z.array(z.string()),
});

type Fleet = z.infer<typeof fleetSchema>;

/** Nothing where the server keeps its state for itself, or is of a version that knows no fleet. */
export async function printFleet(client: AdminClient): Promise<void> {
  const { data } = fleetSchema.safeParse(await client.get("/api/fleet").catch(() => undefined));
  if (data === undefined) return;
  say("");
  printTable(
    ["REPLICA", "HEARD", "TRIPPED", "VERSIONS"],
    data.replicas.map((one) => replicaRow(one, data.replica)),
  );
  if (!data.synced) say("fleet: the store has not been read yet; what others ordered is not known");
  for (const name of data.disagreeing)
    say(`${name}: the replicas know different orders; see VERSIONS`);
}

function replicaRow(
  { replica, ageMs, breakers }: Fleet["replicas"][number],
  own: string,
): string[] {
  const entries = Object.entries(breakers);
  const tripped = entries.filter((entry) => entry[1].tripped).map(([name]) => name);
  const versions = entries.map(([name, { version, mode }]) =>
    mode === "normal" ? `${name} ${version}` : `${name} ${version} (${mode})`,
  );
  return [
    replica,
    replica === own ? "this one" : `${(ageMs / 1000).toFixed(0)} s ago`,
    listed(tripped),
    listed(versions),
  ];
}

/** A table is read by people. */
const LISTED_MAX = 5;

function listed(names: readonly string[]): string {
  if (names.length === 0) return "-";
  const more = names.length > LISTED_MAX ? ` and ${names.length - LISTED_MAX} more` : "";
  return `${names.slice(0, LISTED_MAX).join(", ")}${more}`;
}
