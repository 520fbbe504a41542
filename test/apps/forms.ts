/** Forms of pages that others wrote: what a browser would send when nothing is filled in. */
import assert from 'node:assert/strict';

/**
 * The fields of a form: inputs but buttons and unchecked boxes, text areas, chosen options.
 * @param mark of the first form that is meant: the name of one of its fields, or what is found in it
 * @throws {AssertionError} when there is no such form
 */
export function formFields(html: string, mark: RegExp | string): Record<string, string> {
  const text = formOf(html, mark);
  const fields: Record<string, string> = {};
  for (const [tag] of text.matchAll(/<input\b[^>]*>/gi)) {
    const type = attribute(tag, 'type')?.toLowerCase() ?? 'text';
    const name = attribute(tag, 'name');
    if (name === undefined || /^(submit|button|image|reset|file)$/.test(type)) continue;
    if (/^(checkbox|radio)$/.test(type) && !/\schecked\b/i.test(tag)) continue;
    fields[name] = attribute(tag, 'value') ?? (type === 'checkbox' ? 'on' : '');
  }
  for (const [, head, value] of text.matchAll(/<textarea\b([^>]*)>([\s\S]*?)<\/textarea>/gi)) {
    const name = attribute(head!, 'name');
    if (name !== undefined) fields[name] = unescapeHtml(value!);
  }
  for (const [, head, list] of text.matchAll(/<select\b([^>]*)>([\s\S]*?)<\/select>/gi)) {
    const options = [...list!.matchAll(/<option\b[^>]*>/gi)].map(([tag]) => tag);
    const chosen = options.find((tag) => /\sselected\b/i.test(tag)) ?? options[0];
    const name = attribute(head!, 'name');
    if (name !== undefined && chosen !== undefined) fields[name] = attribute(chosen, 'value') ?? '';
  }
  return fields;
}

/** Where that form is sent; empty when it names no place. */
export function formAction(html: string, mark: RegExp | string): string {
  return attribute(/<form\b[^>]*>/i.exec(formOf(html, mark))![0], 'action') ?? '';
}

/** What a group of `pattern` finds in a page. @throws {AssertionError} when it finds nothing */
export function find(html: string, pattern: RegExp): string {
  const found = pattern.exec(html)?.[1];
  assert.ok(found !== undefined, `${pattern} is not found in`);
  return unescapeHtml(found);
}

function formOf(html: string, mark: RegExp | string): string {
  const forms = [...html.matchAll(/<form\b[\s\S]*?<\/form>/gi)].map(([text]) => text);
  const pattern =
    typeof mark === 'string' ? new RegExp(`\\sname=["']?${escapeRegExp(mark)}["'\\s>]`, 'i') : mark;
  const form = forms.find((text) => pattern.test(text));
  assert.ok(form !== undefined, `no form has ${mark}`);
  return form;
}

function attribute(tag: string, key: string): string | undefined {
  const found = new RegExp(`\\s${key}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(tag);
  const value = found?.slice(1).find((one) => one !== undefined);
  return value === undefined ? undefined : unescapeHtml(value);
}

export function unescapeHtml(text: string): string {
  const characters: Record<string, string> = {
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    '#039': "'",
    '#39': "'",
  };
  return text.replace(/&(amp|lt|gt|quot|#0?39);/g, (_, name) => characters[name]!);
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
