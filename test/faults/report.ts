/** Prints docs/faults.md from what a run of the fault suite saw. */
import type { NotPlayed } from './not-played.ts';

export interface MatrixRow {
  readonly fault: string;
  readonly expected: string;
  readonly cells: Readonly<Record<'fresh' | 'kept', string>>;
}

export interface SituationRow {
  readonly rows: string;
  readonly title: string;
  readonly promise: string;
  readonly result: string;
}

const introduction = `# What happens when an application fails

<!-- Written by \`npm run test:faults\` from what it saw; the tables are in test/faults. -->

Every row was played behind a whole gateway, by a scripted FastCGI application where no other is named. \`cut\`: the client sees
that bytes are missing (no final chunk, or fewer bytes than Content-Length). \`complete\`: the client has every byte. The numbers F1 to
F58 and T1 to T107 are explained in [threats.md](threats.md); each of F1 to F58 stands somewhere on this page.

## Answers

One source, over TCP; the read and the send timeout are short. *Fresh*: a connection per request. *Kept*: the fault strikes on a
connection that has served a request before. After each fault the next request got a whole, clean answer.

| the application | promised | fresh connection | kept connection |
|---|---|---|---|
`;

const situationIntroduction = `
## Situations

| | what happens | promised | seen |
|---|---|---|---|
`;

const notPlayedIntroduction = `
## Not played

| | what | why |
|---|---|---|
`;

/** Faults of the design: F1 to this. */
const faultsMax = 58;

/** Numbers of the faults that a text names, as `F9, F10`. */
function faultsIn(text: string): number[] {
  return [...text.matchAll(/\bF(\d+)\b/g)].map(([, digits]) => Number(digits));
}

/** @returns the faults of the design that stand nowhere in these texts */
export function findMissing(texts: readonly string[]): readonly number[] {
  const named = new Set(texts.flatMap(faultsIn));
  return Array.from({ length: faultsMax }, (_, index) => index + 1).filter((number) => !named.has(number));
}

/** Situations come in the order of their faults. */
export function printFaults(
  rows: readonly MatrixRow[],
  situations: readonly SituationRow[],
  notPlayed: readonly NotPlayed[],
): string {
  const matrix = rows.map(
    ({ fault, expected, cells }) => `| ${fault} | ${expected} | ${cells.fresh} | ${cells.kept} |\n`,
  );
  const inOrder = situations.toSorted((one, other) => faultsIn(one.rows)[0]! - faultsIn(other.rows)[0]!);
  const others = inOrder.map(
    ({ rows: names, title, promise, result }) => `| ${names} | ${title} | ${promise} | ${result} |\n`,
  );
  const left = notPlayed.map(({ rows: names, what, why }) => `| ${names} | ${what} | ${why} |\n`);
  return `${introduction}${matrix.join('')}${situationIntroduction}${others.join('')}${notPlayedIntroduction}${left.join('')}`;
}
