/** DokuWiki as Debian ships it, used through its pages: a complete PHP application with sessions, forms and uploads. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { picture } from '../apps/material.ts';
import { Browser, hiddenFields } from '../support/browser.ts';
import { createWiki, wikiUser } from '../support/dokuwiki.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { until } from '../support/until.ts';

describe('DokuWiki on PHP', () => {
  let gateway: GatewayProcess;
  let browser: Browser;
  before(async () => {
    gateway = await startGateway({ args: [createWiki(), '--port', '0'] });
    browser = new Browser(gateway.origin);
  });
  after(() => gateway?.stop());

  it('shows the front page at /, with its style sheet and scripts', async () => {
    const page = await browser.get('/');
    assert.equal(page.status, 200);
    assert.match(page.text, /<h1[^>]*>Welcome to the test wiki<\/h1>/);
    const linked = [...page.text.matchAll(/(?:href|src)="(\/lib\/exe\/(?:css|js|jquery)\.php[^"]*)"/g)];
    assert.ok(linked.length >= 2);
    for (const [, path] of linked) {
      const answer = await fetchAnswer(gateway.origin, path!.replaceAll('&amp;', '&'));
      assert.equal(answer.status, 200, path);
      assert.match(answer.headers['content-type']!, /text\/css|javascript/);
      assert.ok(answer.body.length > 1000, path);
    }
  });

  it('answers a repeated style sheet with 304', async () => {
    const path = '/lib/exe/css.php?t=dokuwiki';
    const first = await fetchAnswer(gateway.origin, path);
    const again = await fetchAnswer(gateway.origin, path, {
      headers: { 'If-None-Match': first.headers.etag, 'If-Modified-Since': first.headers['last-modified'] },
    });
    assert.deepEqual([again.status, again.body.length], [304, 0]);
  });

  it('serves images as files, and never its configuration', async () => {
    const image = await fetchAnswer(gateway.origin, '/lib/images/error.png');
    assert.deepEqual([image.status, image.headers['content-type']], [200, 'image/png']);
    const settings = await fetchAnswer(gateway.origin, '/conf/users.auth.php');
    assert.ok(!settings.text.includes(wikiUser.name), settings.text);
  });

  it('refuses a wrong password and takes the right one: form, redirect, session cookie', async () => {
    const form = await browser.get('/doku.php?id=start&do=login');
    const fields = { ...hiddenFields(form.text, 'dw__login'), u: wikiUser.name };
    const refused = await browser.submit('/doku.php?id=start', { ...fields, p: 'wrong' });
    assert.match(refused.text, /username or password was wrong/);
    const taken = await browser.submit('/doku.php?id=start', { ...fields, p: wikiUser.password });
    assert.equal(taken.status, 200);
    assert.ok(taken.redirects >= 1, 'a login ends in a redirect');
    assert.ok(taken.text.includes(wikiUser.fullName), 'the page does not greet the user');
    const later = await browser.get('/doku.php?id=start');
    assert.ok(later.text.includes(wikiUser.fullName), 'the session was not kept');
  });

  it('edits and saves a page with UTF-8 text', async () => {
    const form = await browser.get('/doku.php?id=notes:first&do=edit');
    const saved = await browser.submit('/doku.php?id=notes:first', {
      ...hiddenFields(form.text, 'dw__editform'),
      'do[save]': '1',
      wikitext: '====== Grüße aus 東京 ======\n\nA **zanzibar** & 100 % <b>plain</b> text.\n',
      summary: 'created',
    });
    assert.equal(saved.status, 200);
    assert.match(saved.text, /<h1[^>]*>Grüße aus 東京<\/h1>/);
    assert.match(saved.text, /A <strong>zanzibar<\/strong> &amp; 100 % &lt;b&gt;plain&lt;\/b&gt; text\./);
    const visitor = await new Browser(gateway.origin).get('/doku.php?id=notes:first');
    assert.match(visitor.text, /Grüße aus 東京/);
  });

  it('uploads a picture and gives it back byte for byte', async () => {
    const form = await browser.get('/lib/exe/mediamanager.php?ns=notes');
    const fields = hiddenFields(form.text, 'dw__upload');
    const uploaded = await browser.upload(
      '/lib/exe/mediamanager.php',
      { ...fields, mediaid: 'pixel.png' },
      {
        name: 'upload',
        filename: 'pixel.png',
        type: 'image/png',
        content: picture,
      },
    );
    assert.match(uploaded.text, /Upload successful/);
    const fetched = await fetchAnswer(gateway.origin, '/lib/exe/fetch.php?media=notes:pixel.png');
    assert.deepEqual([fetched.status, fetched.headers['content-type']], [200, 'image/png']);
    assert.ok(fetched.body.equals(picture), 'the picture has changed');
  });

  it('gives a part of the picture: the application answers Range itself', async () => {
    const part = await fetchAnswer(gateway.origin, '/lib/exe/fetch.php?media=notes:pixel.png', {
      headers: { Range: 'bytes=1000-1999' },
    });
    assert.equal(part.status, 206);
    assert.equal(part.headers['content-range'], `bytes 1000-1999/${picture.length}`);
    assert.ok(part.body.equals(picture.subarray(1000, 2000)));
  });

  it('finds the page by a word, once its indexer ran', async () => {
    const pixel = await browser.get('/lib/exe/taskrunner.php?id=notes:first');
    assert.equal(pixel.headers['content-type'], 'image/gif');
    // The indexer goes on after its picture is sent.
    let text = '';
    await until(async () => {
      ({ text } = await browser.get('/doku.php?do=search&id=start&q=zanzibar'));
      return text.includes('search_fullpage_result');
    }, 'an indexed page');
    assert.match(text, /href="\/doku\.php\?id=notes:first/);
  });

  it('logs out', async () => {
    const page = await browser.get('/doku.php?id=start');
    const token = /[?&;]sectok=([0-9a-f]+)/.exec(page.text)?.[1];
    assert.ok(token !== undefined, 'the page has no log-out link with a token');
    await browser.get(`/doku.php?id=start&do=logout&sectok=${token}`);
    const later = await browser.get('/doku.php?id=start');
    assert.ok(!later.text.includes(wikiUser.fullName), 'the session is still alive');
  });
});
