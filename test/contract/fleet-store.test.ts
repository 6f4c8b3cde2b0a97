import { connectedStore, startRedis } from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";
import { fleetStoreContract } from "./fleet-store.contract.ts";

fleetStoreContract({
  name: "redis",
  skip: whyNoRedis(),
  async pair(t) {
    const { url } = await startRedis(t);
    return [await connectedStore(t, { url }), await connectedStore(t, { url })];
  },
});
