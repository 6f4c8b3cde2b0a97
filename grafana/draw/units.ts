// Values with their units, much as Grafana writes them.

function rounded(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function duration(seconds: number): string {
  if (seconds === 0) return "0 s";
  if (Math.abs(seconds) < 1) return `${rounded(1000 * seconds)} ms`;
  if (Math.abs(seconds) < 120) return `${rounded(seconds)} s`;
  return seconds < 7200 ? `${rounded(seconds / 60)} min` : `${rounded(seconds / 3600)} h`;
}

const UNITS: Readonly<Record<string, (value: number) => string>> = {
  percentunit: (value) => `${rounded(100 * value)} %`,
  reqps: (value) => `${rounded(value)}/s`,
  s: duration,
  dtdurations: duration,
  ms: (value) => duration(value / 1000),
  dateTimeFromNow: (value) => `at ${new Date(value).toISOString().slice(11, 19)}`,
  bytes: (value) => `${rounded(value / 2 ** 20)} MiB`,
};

export function inUnit(value: number, unit = "none"): string {
  return (UNITS[unit] ?? rounded)(value);
}
