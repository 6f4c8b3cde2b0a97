// PagerDuty in a pod: takes events on 8080, and tells on 8081 what it has got.

import { createServer } from "node:http";
import { startPagerDuty } from "../../pager/pagerduty.ts";

const pager = await startPagerDuty(process.env["ROUTING_KEY"] ?? "", {
  host: "0.0.0.0",
  port: 8080,
});
const desk = createServer((_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ incidents: pager.incidents(), deliveries: pager.deliveries() }));
});
desk.listen(8081, "0.0.0.0");
process.once("SIGTERM", () => process.exit(0));
