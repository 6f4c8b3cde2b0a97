import { gatewayFramingContract } from "./gateway-framing.contract.ts";

gatewayFramingContract("Bun" in globalThis ? "bun" : "node");
