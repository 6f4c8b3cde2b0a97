// Nothing but a deadline.

import { serveControl } from "./proxy.ts";

serveControl("none", process.argv.slice(2), () => (send) => send());
