/** Means that say how sure they are. */

export interface MeanWithError {
  readonly mean: number;
  readonly error: number;
}

/** The mean of the middle half, and its standard error: Tukey and McLaughlin's, from the winsorized variance. */
export function interquartileMean(values: readonly number[]): MeanWithError {
  const sorted = values.toSorted((a, b) => a - b);
  const cut = Math.floor(sorted.length / 4);
  const middle = sorted.slice(cut, sorted.length - cut);
  const winsorized = sorted.map((value) => Math.min(Math.max(value, middle[0]!), middle.at(-1)!));
  const error = deviation(winsorized) / ((middle.length / sorted.length) * Math.sqrt(sorted.length));
  return { mean: mean(middle), error };
}

/** With its standard error. */
export function meanWithError(values: readonly number[]): MeanWithError {
  return { mean: mean(values), error: deviation(values) / Math.sqrt(values.length) };
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample. */
function deviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}
