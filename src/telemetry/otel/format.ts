// Apart from the page, whose types need the SDK's: a host with another one could not compile.

export type PageFormat = "text" | "openmetrics";
