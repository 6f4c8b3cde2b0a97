// The kit for testing code that uses Switchgear, and Switchgear itself.

export { VirtualClock } from "./virtual-clock.ts";
export { SeededRandom } from "./seeded-random.ts";
export { RecordingSink, type EventSource } from "./recording-sink.ts";
