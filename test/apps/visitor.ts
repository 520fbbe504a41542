/** A visitor of one server: a browser that loads what pages link to, and keeps a record of every answer. */
import assert from 'node:assert/strict';
import { Browser, type Page } from '../support/browser.ts';
import type { FormFile } from '../support/form-data.ts';
import { type Answer, fetchAnswer, type Request } from '../support/http-client.ts';

export interface Exchange {
  readonly step: string;
  readonly method: string;
  readonly path: string;
  readonly answer: Answer;
}

export class Visitor {
  readonly origin: string;
  readonly exchanges: Exchange[] = [];
  /** What was done, in words. */
  readonly steps: string[] = [];
  /** What pages link to, and is not there. */
  readonly lacking: string[] = [];
  #browser: Browser;
  #loaded = new Set<string>();

  constructor(origin: string) {
    this.origin = origin;
    this.#browser = this.#newBrowser();
  }

  /** Names what follows, for the record and for the page of results. */
  step(what: string): void {
    this.steps.push(what);
  }

  /** Another person: no cookies. */
  forget(): void {
    this.#browser = this.#newBrowser();
  }

  get cookies(): Map<string, string> {
    return this.#browser.cookies;
  }

  /** One page, after redirects, without what it links to. */
  get(path: string): Promise<Page> {
    return this.#browser.get(path);
  }

  /** One page that must be there, with its style sheets, scripts and images, and what style sheets link to. */
  async page(path: string): Promise<Page> {
    const page = await this.get(path);
    this.#demand(page, path);
    await this.loadAssets(page);
    return page;
  }

  async submit(path: string, fields: Readonly<Record<string, string>>, status = 200): Promise<Page> {
    const page = await this.#browser.submit(path, fields);
    this.#demand(page, path, status);
    return page;
  }

  async upload(path: string, fields: Readonly<Record<string, string>>, file: FormFile): Promise<Page> {
    const page = await this.#browser.upload(path, fields, file);
    this.#demand(page, path);
    return page;
  }

  /** One request as it stands: no cookie is sent or kept, no redirect followed, any status taken. */
  async ask(path: string, request: Request = {}): Promise<Answer> {
    const answer = await fetchAnswer(this.origin, path, request);
    this.#record(request.method ?? 'GET', path, answer);
    return answer;
  }

  /** Loads what a page links to, each once for the visitor, whatever becomes of it: the comparison tells what should. */
  async loadAssets(page: Page): Promise<void> {
    const links = linksOf(page.text, page.path, this.origin);
    for (let link = links.shift(); link !== undefined; link = links.shift()) {
      if (this.#loaded.has(link)) continue;
      this.#loaded.add(link);
      const asset = await this.get(link);
      if (asset.status !== 200) this.lacking.push(link);
      if (/^text\/css/.test(asset.headers['content-type'] ?? ''))
        links.push(...linksOfStyle(asset.text, asset.path, this.origin));
    }
  }

  #demand(page: Page, what: string, status = 200): void {
    assert.equal(page.status, status, `${what}: status ${page.status}`);
  }

  #newBrowser(): Browser {
    return new Browser(this.origin, (method, path, answer) => this.#record(method, path, answer));
  }

  #record(method: string, path: string, answer: Answer): void {
    this.exchanges.push({ step: this.steps.at(-1) ?? '', method, path, answer });
  }
}

/** Paths of the style sheets, scripts, images and icons of a page, on its own server. */
function linksOf(html: string, base: string, origin: string): string[] {
  const text = html.replace(/<!--[\s\S]*?-->/g, '');
  const links: string[] = [];
  for (const [tag, name] of text.matchAll(/<(link|script|img|input)\b[^>]*>/gi)) {
    const attribute = (key: string) =>
      new RegExp(`\\s${key}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i')
        .exec(tag)
        ?.slice(1)
        .find((value) => value !== undefined);
    const isLink = name!.toLowerCase() === 'link';
    if (isLink && !/\b(stylesheet|icon|preload)\b/i.test(attribute('rel') ?? '')) continue;
    const target = attribute(isLink ? 'href' : 'src');
    if (target !== undefined) links.push(target);
  }
  const styles = [...text.matchAll(/<style\b[^>]*>([\s\S]*?)<\/style>/gi)];
  return [
    ...links.flatMap((link) => resolveLink(link, base, origin)),
    ...styles.flatMap(([, style]) => linksOfStyle(style!, base, origin)),
  ];
}

function linksOfStyle(css: string, base: string, origin: string): string[] {
  const text = css.replace(/\/\*[\s\S]*?\*\//g, '');
  const found = text.matchAll(
    /\burl\(\s*(?:"([^"]*)"|'([^']*)'|([^)'"\s]*))\s*\)|@import\s+["']([^"']+)["']/gi,
  );
  return [...found].flatMap((match) =>
    resolveLink(match.slice(1).find((value) => value !== undefined) ?? '', base, origin),
  );
}

/** None for what lies elsewhere (`data:` too), or is built by a script. */
function resolveLink(link: string, base: string, origin: string): string[] {
  const plain = link.replaceAll('&amp;', '&').replaceAll('&#038;', '&').trim();
  if (plain === '' || plain.startsWith('#') || /[{}<>\\]/.test(plain)) return [];
  if (!URL.canParse(plain, origin + base)) return [];
  const url = new URL(plain, origin + base);
  return url.origin === origin ? [url.pathname + url.search] : [];
}
