/** Prints docs/faults.md from what a run of the fault suite saw. */

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

Every row was played by a scripted FastCGI application behind a whole gateway. \`cut\`: the client sees that bytes are missing
(no final chunk, or fewer bytes than Content-Length). \`complete\`: the client has every byte. The numbers F1 to F58 and T1 to T107 name
the faults and threats of the design.

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

export function printFaults(rows: readonly MatrixRow[], situations: readonly SituationRow[]): string {
  const matrix = rows.map(
    ({ fault, expected, cells }) => `| ${fault} | ${expected} | ${cells.fresh} | ${cells.kept} |\n`,
  );
  const others = situations.map(
    ({ rows: names, title, promise, result }) => `| ${names} | ${title} | ${promise} | ${result} |\n`,
  );
  return `${introduction}${matrix.join('')}${situationIntroduction}${others.join('')}`;
}
