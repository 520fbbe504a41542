/** As much of a browser as a form-driven site needs: cookies kept, redirects followed, the page before told, hidden fields read. */
import assert from 'node:assert/strict';
import { encodeForm, encodeMultipart, type FormFile } from './form-data.ts';
import { type Answer, fetchAnswer, type Request } from './http-client.ts';

export interface Page extends Answer {
  /** Path and query of the page that was reached at last. */
  readonly path: string;
  readonly redirects: number;
}

export class Browser {
  readonly cookies: Map<string, string> = new Map();
  readonly #origin: string;
  #before: string | undefined;
  readonly #tell: (method: string, path: string, answer: Answer) => void;

  /** @param tell hears of every answer, redirects included */
  constructor(origin: string, tell: (method: string, path: string, answer: Answer) => void = () => {}) {
    this.#origin = origin;
    this.#tell = tell;
  }

  get(path: string): Promise<Page> {
    return this.#visit(path, {});
  }

  submit(path: string, fields: Readonly<Record<string, string>>): Promise<Page> {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    return this.#visit(path, { method: 'POST', headers, body: encodeForm(fields) });
  }

  upload(path: string, fields: Readonly<Record<string, string>>, file: FormFile): Promise<Page> {
    const { type, body } = encodeMultipart(fields, [file]);
    return this.#visit(path, { method: 'POST', headers: { 'Content-Type': type }, body });
  }

  async #visit(path: string, request: Request): Promise<Page> {
    let [here, next] = [path, request];
    for (let redirects = 0; redirects <= 5; redirects++) {
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const headers = {
        ...next.headers,
        ...(cookie === '' ? {} : { Cookie: cookie }),
        ...(this.#before === undefined ? {} : { Referer: this.#origin + this.#before }),
      };
      const answer = await fetchAnswer(this.#origin, here, { ...next, headers });
      this.#tell(next.method ?? 'GET', here, answer);
      for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line);
      if (answer.headers.location === undefined || answer.status < 300) {
        if (/^text\/html/.test(answer.headers['content-type'] ?? '')) this.#before = here;
        return { ...answer, path: here, redirects };
      }
      const target = new URL(answer.headers.location, this.#origin + here);
      assert.equal(target.origin, this.#origin, 'a redirect leaves the site');
      [here, next] = [target.pathname + target.search, {}];
    }
    throw new Error(`More than 5 redirects from ${path}`);
  }

  #keep(line: string): void {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
    if (value === '' || value === 'deleted') this.cookies.delete(name!);
    else this.cookies.set(name!, value!);
  }
}

/** The hidden fields of the form with this id, by name. */
export function hiddenFields(html: string, formId: string): Record<string, string> {
  const form = html
    .split(/<form\b/)
    .find((text) => text.slice(0, text.indexOf('>')).includes(`id="${formId}"`));
  assert.ok(form !== undefined, `the page has no form ${formId}:\n${html.slice(0, 2000)}`);
  const inputs = form.slice(0, form.indexOf('</form>')).matchAll(/<input\b[^>]*type="hidden"[^>]*>/g);
  return Object.fromEntries(
    [...inputs].map(([tag]) => [
      /\bname="([^"]*)"/.exec(tag)?.[1] ?? '',
      unescapeHtml(/\bvalue="([^"]*)"/.exec(tag)?.[1] ?? ''),
    ]),
  );
}

function unescapeHtml(text: string): string {
  const characters: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#039': "'" };
  return text.replace(/&(amp|lt|gt|quot|#039);/g, (_, name) => characters[name]!);
}
