import { gatewayWaitsContract } from "./gateway-waits.contract.ts";

gatewayWaitsContract("Bun" in globalThis ? "bun" : "node");
