// Eight colours that people who see colours differently tell apart (Okabe and Ito, "Color Universal Design",
// 2008), and what each of them means here, on every dashboard. None is told by its colour alone: a text stands beside it.

export const GOOD = "#0072B2";
export const BAD = "#D55E00";
export const WARNING = "#E69F00";
export const TRYING = "#56B4E9";
export const SERVED = "#009E73";
export const ODD = "#CC79A7";
export const NEUTRAL = "#999999";

export type Color =
  | typeof GOOD
  | typeof BAD
  | typeof WARNING
  | typeof TRYING
  | typeof SERVED
  | typeof ODD
  | typeof NEUTRAL;
