// What circuit breakers get wrong, as named tests: the promise holds for Switchgear, and the peers do
// what docs/peers.md says they do. A peer's release that mends something fails its test here, and
// the page is then out of date.

import { PITFALLS } from "./pitfalls.ts";
import { testOf } from "./stage.ts";

for (const row of PITFALLS) testOf(row);
