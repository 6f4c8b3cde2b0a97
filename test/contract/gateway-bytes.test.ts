import { gatewayBytesContract } from "./gateway-bytes.contract.ts";

gatewayBytesContract("Bun" in globalThis ? "bun" : "node");
