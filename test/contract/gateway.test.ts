import { gatewayContract } from "./gateway.contract.ts";

gatewayContract("Bun" in globalThis ? "bun" : "node");
