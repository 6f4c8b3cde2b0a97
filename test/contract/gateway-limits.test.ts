import { limitsContract } from "./gateway-limits.contract.ts";

limitsContract("Bun" in globalThis ? "bun" : "node");
