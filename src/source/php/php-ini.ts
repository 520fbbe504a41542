/** php.ini, as PHP reads it. */

/** Directives as a php.ini, one a line; an expression of constants (`E_ALL & ~E_NOTICE`) and plain words stay unquoted. */
export function printIni(ini: Readonly<Record<string, string>>): string {
  return Object.entries(ini)
    .map(([name, value]) => `${name}=${quoteIni(value)}\n`)
    .join('');
}

function quoteIni(value: string): string {
  if (/^[\w.,:/+-]*$/.test(value) || /^[~(\s]*E_\w+([\s&|^~()]+E_\w+)*\)*$/.test(value)) return value;
  return `"${value.replace(/[\r\n\0]/g, ' ').replace(/["\\$]/g, '\\$&')}"`;
}
